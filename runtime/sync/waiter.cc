#include "weir/runtime/sync/waiter.h"

#include <stdexcept>

namespace weir::internal {
namespace {

thread_local constinit unsigned passes = 0;

}  // namespace

bool Waiter::pass() noexcept {
  state_ = State::kGranted;
  return ++passes % kPassesMax != 0;
}

void Waiter::wait_in(WaitList& list, std::coroutine_handle<> point) noexcept {
  if (state_ == State::kGranted) {
    YieldAwaiter().await_suspend(point);
    return;
  }
  root_ = &Root::current();
  list_ = &list;
  list.waiters_.push_back(*this);
  root_->wait(point, *this);
}

void Waiter::cancel() noexcept {
  list_->wake(*this, State::kCancelled);
  gave_up();
}

void Waiter::throw_not_granted() const {
  if (state_ == State::kCancelled) throw Cancelled();
  throw std::logic_error("weir: what this task waited for was destroyed; keep it alive until every waiter has gone on");
}

}  // namespace weir::internal
