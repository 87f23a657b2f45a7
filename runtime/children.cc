#include "weir/runtime/children.h"

namespace weir::internal {

Children::Children(std::span<JoinStateBase* const> states, Until until)
    : count_(states.size()), children_(new Child[states.size()]), until_(until), left_(states.size()) {
  for (std::size_t i = 0; i < count_; ++i) {
    children_[i].owner = this;
    children_[i].state = states[i];
    states[i]->listen(children_[i]);
  }
}

// Not awaited to the end: only when an interrupted task threw at the co_await. The children go on as cancelled tasks.
Children::~Children() {
  for (std::size_t i = 0; i < count_; ++i) {
    JoinStateBase& state = *children_[i].state;
    if (state.done()) continue;
    state.unlisten(children_[i]);
    state.cancel();
  }
}

void Children::await_suspend(std::coroutine_handle<> point) noexcept {
  root_ = thread_state.root;
  root_->wait(point, *this);
  if (root_->interrupted()) cancel();
}

void Children::Child::root_done(Root&) noexcept { owner->ended(*this); }

void Children::ended(Child& child) noexcept {
  --left_;
  const bool decides = until_ == Until::kFirstEnds || child.state->failure() != nullptr;
  if (decides && decider_ == kNone) {
    decider_ = static_cast<std::size_t>(&child - children_.get());
    cancel();
  }
  if (left_ == 0 && root_ != nullptr) root_->ready();
}

void Children::cancel() noexcept {
  for (std::size_t i = 0; i < count_; ++i) children_[i].state->cancel();
}

void Children::settle() const {
  bool cut_short = false;
  for (std::size_t i = 0; i < count_; ++i) {
    JoinStateBase& state = *children_[i].state;
    state.observe();
    cut_short |= state.ended_cancelled();
    if (i != decider_ && state.failure() != nullptr && !state.ended_cancelled()) state.report();
  }
  const bool interrupted = Root::current().interrupted();
  if (interrupted && cut_short && (decider_ == kNone || children_[decider_].state->ended_cancelled())) throw Cancelled();
  if (decider_ == kNone) return;
  if (std::exception_ptr failure = children_[decider_].state->failure()) std::rethrow_exception(failure);
}

}  // namespace weir::internal
