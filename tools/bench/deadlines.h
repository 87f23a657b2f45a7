// Timers, as more than one family of rows measures them.
#pragma once

#include <cstdint>

#include "weir/tools/bench/side.h"

namespace weir::bench {

// The loop's timers alone, armed and cancelled, `size` of them at once.
MakeSide timers_alone(uint64_t size);

}  // namespace weir::bench
