// The raw twins: as little code as can do each job by hand, with liburing, futexes and eventfds, and without weir.
#pragma once

#include "weir/tools/bench/side.h"

namespace weir::bench::raw {

// NOPs through a ring, `in_flight` at a time.
MakeSide nops(unsigned in_flight);

// Two coroutines that take turns through a list of handles.
MakeSide yields();

// A coroutine that awaits a trivial one, its frame recycled.
MakeSide tasks();

}  // namespace weir::bench::raw
