#include "weir/bridge/interrupt.h"

#include <utility>

namespace weir::internal {
namespace {

constinit thread_local Interrupt* current_interrupt = nullptr;

}  // namespace

void CancellableWait::task_began(JoinStateBase& task) noexcept {
  task_ = &task;
  if (cancelled_) task.cancel();
}

void CancellableWait::send() noexcept {
  // Once it is pushed it may be delivered, and gone: push() needs the control block to its end.
  const ControlRef loop = loop_;
  if (!loop->push(*this)) release();
}

void CancellableWait::deliver() noexcept {
  cancelled_ = true;
  if (task_ != nullptr) task_->cancel();
  release();
}

Interrupt* Interrupt::current() noexcept { return current_interrupt; }

Interrupt::Scope::Scope(Interrupt& interrupt) noexcept : before_(std::exchange(current_interrupt, &interrupt)) {}

Interrupt::Scope::~Scope() { current_interrupt = before_; }

}  // namespace weir::internal
