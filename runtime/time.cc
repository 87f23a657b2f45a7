#include "weir/runtime/time.h"

#include <stdexcept>

#include "absl/time/clock.h"
#include "weir/runtime/engine.h"

namespace weir {
namespace internal {

SleepAwaiter Sleep::operator co_await() const {
  if (duration_ <= absl::ZeroDuration()) return SleepAwaiter(0);
  return SleepAwaiter(deadline_after(Root::current().engine(), duration_));
}

void SleepAwaiter::await_suspend(std::coroutine_handle<> point) noexcept {
  root_ = thread_state.root;
  Engine& engine = root_->engine();
  if (deadline_ns_ == 0) return engine.yield(*root_, point);
  root_->wait(point, *this);
  if (deadline_ns_ != kNoDeadline) engine.timers().arm(*this, deadline_ns_);
}

void SleepAwaiter::cancel() noexcept {
  given_up_ = true;
  root_->engine().timers().cancel(*this);
  root_->ready();
}

absl::Duration until(absl::Time time) {
  if (time == absl::InfiniteFuture()) return absl::InfiniteDuration();
  if (time == absl::InfinitePast()) return absl::ZeroDuration();
  const Engine* engine = thread_state.engine;
  const absl::Time now = engine != nullptr ? absl::FromUnixNanos(thread_state.engine->kernel().realtime_ns()) : absl::Now();
  return time - now;
}

}  // namespace internal

Interval::Interval(absl::Duration period) : period_ns_(absl::ToInt64Nanoseconds(period)) {
  if (period_ns_ <= 0 || period == absl::InfiniteDuration()) {
    throw std::invalid_argument("weir::Interval: the period must be positive and finite");
  }
  next_ns_ = internal::deadline_after(internal::Root::current().engine(), period);
}

Task<int64_t> Interval::tick() {
  internal::Engine& engine = internal::Root::current().engine();
  const int64_t late_ns = engine.now_ns() - next_ns_;
  const int64_t missed = late_ns > 0 ? late_ns / period_ns_ : 0;
  const int64_t beat_ns = next_ns_ + missed * period_ns_;
  internal::SleepAwaiter sleep(beat_ns);
  co_await sleep;  // one that is cancelled has taken no beat
  next_ns_ = period_ns_ < internal::kNoDeadline - beat_ns ? beat_ns + period_ns_ : internal::kNoDeadline;
  co_return missed;
}

}  // namespace weir
