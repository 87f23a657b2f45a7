#include "weir/bridge/stream_state.h"

#include "weir/bridge/thread_pool.h"

namespace weir::internal {

StreamStateBase::StreamStateBase(Executor* executor, bool bounded)
    : executor_(executor), bounded_(bounded), context_(Context::current()) {}

void StreamStateBase::start() {
  Engine& engine = *thread_state.engine;
  BridgeAnnex& annex = BridgeAnnex::of(engine);
  control_ = ControlRef::share(&engine.control());
  Executor& executor = executor_ != nullptr ? *executor_ : engine.executor();
  retain();  // the producer's
  try {
    executor.submit(*this);
  } catch (...) {
    release();
    throw;
  }
  started_ = true;
  annex.job_started();
  annex.add(*this);
  if (bounded_) engine.add_idle_hook(*this);
}

void StreamStateBase::close() noexcept {
  closed_.store(true, std::memory_order_relaxed);  // a hint
  close_ring();
  stop_.request_stop();
}

void StreamStateBase::run() noexcept {
  std::exception_ptr failure;
  if (!closed()) {
    const CurrentLoopScope loop(control_.get());
    const ContextScope context(context_);
    try {
      produce(stop_.get_token());
    } catch (...) {
      ThreadPool::count_failure();
      failure = std::current_exception();
    }
  }
  end_production(std::move(failure));
}

void StreamStateBase::drop() noexcept {
  end_production(std::make_exception_ptr(PoolClosed("weir: the pool was shut down before the stream's producer began")));
}

void StreamStateBase::end_production(std::exception_ptr failure) noexcept {
  forget_producer();
  context_ = Context();
  const ControlRef control = control_;
  finish(std::move(failure));
  if (!control->push(end_)) release();
}

void StreamStateBase::notify() noexcept {
  // Refused only when the loop is gone, and with it whoever waited.
  control_->push(notice_);
}

void StreamStateBase::noticed() noexcept {
  if (waiting_ == nullptr) return;
  // A next() that was cancelled waits for the notice alone.
  if (!waiting_->interrupted() && wait_for_items()) return;
  std::exchange(waiting_, nullptr)->ready();
}

void StreamStateBase::finished() noexcept {
  ended_ = true;
  Engine& engine = *thread_state.engine;
  BridgeAnnex& annex = BridgeAnnex::of(engine);
  annex.job_ended();
  (void)annex.remove(*this);
  if (bounded_) engine.remove_idle_hook(*this);
  while (end_waiters_ != nullptr) {
    EndWaiter& waiter = *end_waiters_;
    end_waiters_ = waiter.next_;
    waiter.root_->ready();
  }
  release();
}

void StreamStateBase::add(EndWaiter& waiter) noexcept {
  waiter.next_ = end_waiters_;
  end_waiters_ = &waiter;
}

void StreamStateBase::remove(EndWaiter& waiter) noexcept {
  for (EndWaiter** at = &end_waiters_; *at != nullptr; at = &(*at)->next_) {
    if (*at != &waiter) continue;
    *at = waiter.next_;
    return;
  }
}

}  // namespace weir::internal
