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

RemoteCall::RemoteCall(ControlRef home, ControlRef there) noexcept : home_(std::move(home)), there_(std::move(there)) {}

bool RemoteCall::await_suspend(std::coroutine_handle<> point) {
  root_ = thread_state.root;
  retain();  // the task over there
  root_->wait(point, *this);
  if (there_->alive() && there_->push(ask_)) return true;
  root_->stay();
  refused_ = true;
  release();
  return false;
}

void RemoteCall::check_answer() {
  if (refused_ || (cut_off_ && !root_->interrupted())) throw_loop_closed("on");
  if (start_failure_) std::rethrow_exception(start_failure_);
}

void RemoteCall::cancel() noexcept {
  auto* request = new CancelThere(*this);
  if (!there_->push(*request)) request->drop();  // the loop over there has answered, or is about to, as it goes
}

void RemoteCall::run_there() noexcept {
  try {
    state_ = &begin_there();
  } catch (...) {
    start_failure_ = std::current_exception();
    const ControlRef home = home_;
    return static_cast<void>(home->push(answer_));
  }
  state_->listen(answer_);
  if (cancel_came_) state_->cancel();
}

void RemoteCall::answer() noexcept {
  cut_off_ = state_->ended_cancelled() && !cancel_came_;
  state_ = nullptr;
  take_result();
  const ControlRef home = home_;  // the answer may be delivered, and this call gone, within push()
  // Refused only when the home loop is gone; its task, which waits for this, is gone first.
  home->push(answer_);
}

void RemoteCall::answered() noexcept {
  root_->ready();
  release();
}

}  // namespace weir::internal
