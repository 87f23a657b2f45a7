// Waiting for time to pass.
//
//   co_await weir::sleep_for(absl::Milliseconds(20));
//   weir::Interval beat(absl::Seconds(1));
//   for (;;) { int64_t missed = co_await beat.tick(); … }
//
// Timers fire in the order of their deadlines, equal ones as they were armed; never early. Loop's thread. Cancelling:
// the timer is taken out at once. Cost: a timer of 48 bytes in the coroutine's frame, no allocation, no system call: the
// next deadline travels with the loop's one enter. Negative and zero durations let the other ready tasks run and go on;
// an infinite one waits until it is cancelled, without a timer.
#pragma once

#include <coroutine>
#include <cstdint>

#include "absl/time/time.h"
#include "weir/runtime/root.h"
#include "weir/runtime/task.h"
#include "weir/runtime/timers.h"

namespace weir {
namespace internal {

class SleepAwaiter final : public Suspension, public Timer {
 public:
  explicit SleepAwaiter(int64_t deadline_ns) noexcept : deadline_ns_(deadline_ns) {}
  ~SleepAwaiter() = default;

  bool await_ready() const {
    Root::current().throw_if_interrupted();
    return false;
  }
  void await_suspend(std::coroutine_handle<> point) noexcept;
  void await_resume() const {
    if (given_up_) throw Cancelled();
  }

 private:
  void cancel() noexcept override;
  void fire() noexcept override { root_->ready(); }

  const int64_t deadline_ns_;  // monotonic; 0: no timer, only to the back of the ready queue
  Root* root_ = nullptr;
  bool given_up_ = false;
};

// What sleep_for and sleep_until return.
class [[nodiscard("a sleep does nothing until it is awaited")]] Sleep {
 public:
  explicit Sleep(absl::Duration duration) noexcept : duration_(duration) {}
  SleepAwaiter operator co_await() const;

 private:
  absl::Duration duration_;  // from the co_await on
};

class [[nodiscard("yield() does nothing until it is awaited")]] Yield {
 public:
  Yield() = default;
  YieldAwaiter operator co_await() const noexcept { return YieldAwaiter(); }
};

absl::Duration until(absl::Time time);

}  // namespace internal

inline internal::Sleep sleep_for(absl::Duration duration) { return internal::Sleep(duration); }

// `time` is converted to the monotonic clock once, in this call: a clock that is set later moves nothing.
inline internal::Sleep sleep_until(absl::Time time) { return internal::Sleep(internal::until(time)); }

// To the back of the ready queue.
inline internal::Yield yield() { return internal::Yield(); }

// A beat that keeps its time: the n-th tick() ends n periods after construction, however long the work between them took.
class Interval {
 public:
  // std::invalid_argument when `period` is not positive or infinite. Loop's thread.
  explicit Interval(absl::Duration period);

  // Waits for the next beat; the number of beats that were missed because the caller came late (usually 0).
  Task<int64_t> tick();

 private:
  int64_t period_ns_;
  int64_t next_ns_;  // monotonic
};

}  // namespace weir
