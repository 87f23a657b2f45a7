#include "weir/bridge/sync_await.h"

#include "weir/bridge/interrupt.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/errors.h"

namespace weir::internal {
namespace {

std::exception_ptr loop_closed() {
  return std::make_exception_ptr(LoopClosed("sync_await: the loop is going or gone; the coroutine did not run to its end"));
}

}  // namespace

LoopControl& current_control_or_throw() {
  if (current_control == nullptr) {
    throw LookupError("sync_await: no loop is known on this thread; use sync_wait_coroutine(handle, …)");
  }
  return *current_control;
}

SyncWait::SyncWait() : context_(Context::current()) {}

void SyncWait::run(LoopControl& control) {
  if (control.on_own_thread()) {
    throw DeadlockError("sync_await on the loop's own thread would wait for itself; co_await the coroutine instead");
  }
  Interrupt* const interrupt = Interrupt::current();
  if (interrupt == nullptr) return wait(control);
  cancellable_ = new CancellableWait(control);
  class Release {
   public:
    explicit Release(CancellableWait& held) noexcept : held_(held) {}
    ~Release() { held_.release(); }

   private:
    CancellableWait& held_;
  } const release(*cancellable_);
  if (!interrupt->word().begin(*cancellable_)) throw Cancelled();
  wait(control);
  interrupt->word().end(*cancellable_, cut_short_);
}

void SyncWait::wait(LoopControl& control) {
  if (!control.alive() || !control.push(*this)) return fail(loop_closed());
  ended_.wait();
}

void SyncWait::deliver() noexcept {
  if (thread_state.engine->going()) {
    fail(loop_closed());
    return ended_.set();
  }
  try {
    const ContextScope context(context_);
    state_ = &begin();
  } catch (...) {
    fail(std::current_exception());
    return ended_.set();
  }
  state_->listen(*this);
  if (cancellable_ != nullptr) cancellable_->task_began(*state_);
}

void SyncWait::root_done(Root&) noexcept {
  cut_short_ = state_->ended_cancelled();
  const bool cut_off = cut_short_ && thread_state.engine->going();
  if (cancellable_ != nullptr) cancellable_->task_ended();
  take_result();
  if (cut_off) fail(loop_closed());
  ended_.set();
}

}  // namespace weir::internal
