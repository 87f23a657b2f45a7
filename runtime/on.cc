#include "weir/runtime/on.h"

#include "weir/runtime/engine.h"

namespace weir::internal {

// A cancel on its way to the other loop.
class RemoteCall::CancelThere final : public InboxNode {
 public:
  explicit CancelThere(RemoteCall& call) noexcept : call_(call) { call.retain(); }
  void deliver() noexcept override {
    call_.cancel_came_ = true;
    if (call_.state_ != nullptr) call_.state_->cancel();
    drop();
  }
  void drop() noexcept {
    call_.release();
    delete this;
  }

 private:
  RemoteCall& call_;
};

LoopControl& running_control() { return Root::current().engine().control(); }

RemoteCall::RemoteCall(ControlRef home, ControlRef there, Context snapshot) noexcept
    : snapshot_(std::move(snapshot)), home_(std::move(home)), there_(std::move(there)) {}

bool RemoteCall::await_suspend(std::coroutine_handle<> point) {
  root_ = thread_state.root;
  retain();  // the task over there
  if (!there_->alive() || !there_->push(ask_)) {
    refused_ = true;
    release();
    return false;
  }
  // The answer comes through this loop's inbox, so not before the coroutine is suspended.
  root_->wait(point, *this);
  return true;
}

void RemoteCall::throw_deadlock() {
  throw DeadlockError("on(): both loops belong to this thread, where one stands still while the other runs; spawn() on one of them");
}

void RemoteCall::check_answer() {
  if (withdrawn_ || (cut_off_ && root_->interrupted())) throw Cancelled();
  if (refused_ || cut_off_) throw_loop_closed("on");
  if (start_failure_) std::rethrow_exception(start_failure_);
}

void RemoteCall::cancel() noexcept {
  if (!claimed_.exchange(true, std::memory_order_relaxed)) {
    withdrawn_ = true;
    return root_->ready();
  }
  auto* request = new CancelThere(*this);
  if (!there_->push(*request)) request->drop();  // the loop over there has answered, or is about to, as it goes
}

void RemoteCall::run_there() noexcept {
  if (claimed_.exchange(true, std::memory_order_relaxed)) return release();
  if (!there_->alive()) {
    // This loop is going: it may never turn again, so nothing is begun.
    cut_off_ = true;
    return send_answer();
  }
  try {
    if (waits_for_own_thread(*home_.get())) throw_deadlock();  // the home loop got its thread before this one did
    state_ = &begin_there();
  } catch (...) {
    start_failure_ = std::current_exception();
    return send_answer();
  }
  state_->listen(answer_);
}

void RemoteCall::answer() noexcept {
  cut_off_ = state_->ended_cancelled() && !cancel_came_;
  state_ = nullptr;
  take_result();
  send_answer();
}

void RemoteCall::send_answer() noexcept {
  // Once the answer is in, this call may be gone, and the home loop with it: push() needs its control block to the end.
  const ControlRef home = home_;
  // Refused only when the home loop is gone; its task, which waits for this, is gone first.
  home->push(answer_);
}

void RemoteCall::answered() noexcept {
  root_->ready();
  release();
}

}  // namespace weir::internal
