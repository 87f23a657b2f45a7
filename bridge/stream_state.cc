#include "weir/bridge/stream_state.h"

#include "weir/bridge/channel_errors.h"
#include "weir/bridge/thread_pool.h"

namespace weir::internal {
namespace {

// What a producer throws when it learns that its stream or its loop has come to its end: nobody needs to be told.
bool echoes_the_end(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const ChannelClosed&) {
    return true;
  } catch (const LoopClosed&) {
    return true;
  } catch (const Cancelled&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

StreamStateBase::StreamStateBase(Executor* executor, bool bounded)
    : executor_(executor), bounded_(bounded), context_(Context::current()) {}

void StreamStateBase::start() {
  Engine& engine = *thread_state.engine;
  BridgeAnnex& annex = BridgeAnnex::of(engine);
  control_ = ControlRef::share(&engine.control());
  Executor& executor = executor_ != nullptr ? *executor_ : engine.executor();
  claim_.submit();
  retain();  // the executor's
  try {
    executor.submit(*this);
  } catch (...) {
    claim_.take_back();
    release();
    throw;
  }
  started_ = true;
  readable_on_ = control_.get();
  annex.job_started();
  annex.add(*this);
  if (bounded_) engine.add_idle_hook(*this);
}

void StreamStateBase::close() noexcept {
  closed_.store(true, std::memory_order_relaxed);  // a hint
  close_ring();
  if (claim_.withdraw()) {
    retain();  // for the end that is pushed; the executor keeps its own until it comes to the job
    end_production(nullptr);
  }
  stop_.request_stop();
  interrupt_.ask();
}

void StreamStateBase::check_loop() const {
  if (control_.get() == &thread_state.engine->control()) return;
  throw std::logic_error("weir: a stream is read, and its end awaited, on the loop of its first next()");
}

void StreamStateBase::run() noexcept {
  if (!claim_.take()) return release();
  std::exception_ptr failure;
  if (!closed()) {
    const CurrentLoopScope loop(control_.get());
    const ContextScope context(context_);
    const Interrupt::Scope interrupt(interrupt_);
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
  if (!claim_.take()) return release();
  end_production(std::make_exception_ptr(PoolClosed("weir: the pool was shut down before the stream's producer began")));
}

void StreamStateBase::end_production(std::exception_ptr failure) noexcept {
  forget_producer();
  context_ = Context();
  const ControlRef control = control_;
  finish(std::move(failure));
  if (!control->push(end_)) release();
}

void StreamStateBase::let_go() noexcept {
  if (ended_) report_failure();
  delete this;
}

void StreamStateBase::report_failure() noexcept {
  std::exception_ptr failure = take_failure();
  if (failure && !echoes_the_end(failure)) control_->report(std::move(failure), "threaded_iterable");
}

void StreamStateBase::notify() noexcept {
  // Refused only when the loop is gone, and with it whoever waited.
  control_->push(notice_);
}

void StreamStateBase::noticed() noexcept {
  if (waiting_ == nullptr) return;
  // A next() that was cancelled waits for the notice alone.
  if (!waiting_->interrupted() && wait_for_items()) return;
  waiting_->ready();  // it stays the one reader until it has resumed
}

void StreamStateBase::finished() noexcept {
  ended_ = true;
  Engine& engine = *thread_state.engine;
  BridgeAnnex& annex = BridgeAnnex::of(engine);
  annex.job_ended();
  (void)annex.remove(*this);
  if (bounded_) engine.remove_idle_hook(*this);
  if (closed()) report_failure();  // no next() gives it any more
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
