// What weir throws, and what it returns.
//
//   the kernel, a peer or a deadline said no   absl::Status, absl::StatusOr (status.h)
//   the work is no longer wanted               Cancelled
//   the caller made a mistake                  the exceptions below: they name the mistake and the way out
#pragma once

#include <stdexcept>

namespace weir {

// Unwinds a coroutine whose work is no longer wanted. It derives from nothing, so `catch (const std::exception&)`
// lets it pass; a `catch (...)` must rethrow. Being cancelled is a state: every later co_await throws it again until
// the task has ended.
struct Cancelled {};

// Something that the calling thread does not have: a loop, a value of a context variable.
class LookupError : public std::logic_error {
  using std::logic_error::logic_error;
};

// The call would have waited for the very thread that made it.
class DeadlockError : public std::logic_error {
  using std::logic_error::logic_error;
};

// The loop is going or gone: what was handed to it will not run.
class LoopClosed : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The pool was shut down before the job began.
class PoolClosed : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace weir
