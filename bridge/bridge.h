// All of weir's bridge: threads and the loop.
#pragma once

#include "weir/bridge/generator.h"    // IWYU pragma: export
#include "weir/bridge/thread_pool.h"  // IWYU pragma: export
