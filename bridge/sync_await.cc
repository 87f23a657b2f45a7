#include "weir/bridge/sync_await.h"

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
}

void SyncWait::root_done(Root&) noexcept {
  const bool cut_off = state_->ended_cancelled() && thread_state.engine->going();
  take_result();
  if (cut_off) fail(loop_closed());
  ended_.set();
}

}  // namespace weir::internal
