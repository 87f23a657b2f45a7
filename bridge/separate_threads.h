// Executors that start a thread for each job.
#pragma once

#include <string_view>

#include "weir/runtime/executor.h"

namespace weir::internal {

// The executor whose threads are named "sep-<name>" (the system keeps 15 characters). Lives for ever; the same for equal
// arguments. `detach` false: the end of the process waits for its threads, as Python's interpreter does for such.
// Its submit() starts the thread before it returns, and throws std::system_error where the system gives none. There is
// no limit on their number.
Executor& separate_threads(std::string_view name, bool detach);

}  // namespace weir::internal
