#include "weir/bridge/call.h"

#include <stdexcept>
#include <utility>

#include "weir/bridge/loop_annex.h"
#include "weir/bridge/pool_thread.h"
#include "weir/bridge/thread_pool.h"
#include "weir/runtime/engine.h"

namespace weir::internal {

CallStateBase::CallStateBase(Executor* executor, CallKind kind, bool wants_stop)
    : kind_(kind), executor_(executor), context_(Context::current()) {
  if (wants_stop) stop_ = std::stop_source();
}

CallStateBase::~CallStateBase() {
  if (control_ != nullptr) Engine::give_back_control(control_);
}

void CallStateBase::begin_await() {
  if (!lazy() && control_ != &thread_state.engine->control()) {
    throw std::logic_error("weir: a Call is awaited on the loop where it was made");
  }
  if (awaited_) throw std::logic_error("weir: this Call was awaited before; a Call is awaited once");
  awaited_ = true;
}

void CallStateBase::submit() {
  Engine& engine = *thread_state.engine;
  BridgeAnnex& annex = BridgeAnnex::of(engine);
  Executor& executor = executor_ != nullptr ? *executor_ : engine.executor();
  if (control_ == nullptr) control_ = engine.take_control();
  word_.submit();
  try {
    executor.submit(*this);
  } catch (...) {
    word_.take_back();
    throw;
  }
  counted_ = executor.waited_for();
  if (counted_) annex.job_started();
}

void CallStateBase::await(Root& root, std::coroutine_handle<> point, Suspension& place) noexcept {
  waiting_ = &root;
  root.wait(point, place);
}

bool CallStateBase::give_up() noexcept {
  withdrawn_ = word_.withdraw();
  if (withdrawn_) {
    forget_callable();
    context_ = Context();
    // The loop's end need not wait until the executor comes to it.
    if (std::exchange(counted_, false)) BridgeAnnex::of(*thread_state.engine).job_ended();
  } else {
    stop_.request_stop();
    if (kind_ == CallKind::kAttached && !delivered_) return false;
  }
  waiting_ = nullptr;
  return true;
}

void CallStateBase::run() noexcept {
  if (!word_.take()) return hand_back();
  if (!control_->gone()) {
    const CurrentLoopScope loop(control_);
    const ContextScope context(context_);
    try {
      invoke(stop_.get_token());
    } catch (...) {
      ThreadPool::count_failure();
      fail(std::current_exception());
    }
  }
  end();
}

void CallStateBase::drop() noexcept {
  if (!word_.take()) return hand_back();
  fail(std::make_exception_ptr(PoolClosed("weir: the pool was shut down before the job began")));
  end();
}

// On the executor's thread, which took the job.
void CallStateBase::end() noexcept {
  forget_callable();
  context_ = Context();
  hand_back();
}

// On the executor's thread: back to the loop, which lets go of it.
void CallStateBase::hand_back() noexcept {
  // push() needs a reference of its own: this node may be gone before it returns.
  LoopControl& control = *control_;
  PoolThread* const worker = PoolThread::mine();
  const ControlRef own = worker == nullptr ? ControlRef::share(&control) : ControlRef();
  if (worker != nullptr) worker->keep(control);
  if (!control.push(*this)) release();
}

void CallStateBase::deliver() noexcept {
  delivered_ = true;
  if (counted_) BridgeAnnex::of(*thread_state.engine).job_ended();
  if (waiting_ != nullptr) std::exchange(waiting_, nullptr)->ready();
  release();
}

void CallStateBase::release() noexcept {
  if (!word_.let_go()) return;
  if (delivered_ && !observed_ && failure() != nullptr) control_->report(failure(), "threaded");
  delete this;
}

}  // namespace weir::internal
