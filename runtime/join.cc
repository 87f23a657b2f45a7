#include "weir/runtime/join.h"

namespace weir::internal {

void JoinAwaiterBase::throw_foreign() {
  throw std::logic_error("weir: a JoinHandle is awaited on the loop of its task; reach it with on() from another");
}

void JoinAwaiterBase::throw_own() {
  throw DeadlockError("weir: a task awaits its own JoinHandle, and so would never end");
}

void JoinAwaiterBase::cancel() noexcept {
  if (kind_ == JoinKind::kOwn) return state_.cancel();  // its end wakes us
  state_.unlisten(*this);
  root_->ready();
}

}  // namespace weir::internal
