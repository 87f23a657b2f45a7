// timeout: an awaitable with a deadline.
//
//   absl::StatusOr<size_t> count = co_await weir::timeout(absl::Seconds(5), stream.read(buffer));
//
// The awaitable runs in the caller's own task and context. When the deadline passes first it is cancelled, waited for,
// and the result is kDeadlineExceeded; work that won the race anyway is a success. A result of type R comes as
// StatusOr<R>, void as Status; Status and StatusOr stay as they are. A duration <= 0 does not start it; an infinite one
// arms no timer. The limit counts from the moment at which the loop has run what is ready, never from before the call:
// all timeouts of a turn share one look at the clock, and work that ends in the turn in which it began costs none.
// Loop's thread. Cancelling who awaits cancels the work. Cost: a Task's frame and a timer; no system call.
#pragma once

#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/runtime/awaitable.h"
#include "weir/runtime/join.h"
#include "weir/runtime/task.h"
#include "weir/runtime/timers.h"

namespace weir {
namespace internal {

template <class R>
struct WithDeadline {
  using type = absl::StatusOr<R>;
};
template <>
struct WithDeadline<void> {
  using type = absl::Status;
};
template <>
struct WithDeadline<absl::Status> {
  using type = absl::Status;
};
template <class T>
struct WithDeadline<absl::StatusOr<T>> {
  using type = absl::StatusOr<T>;
};

// A scope of the running task that cancels itself at a deadline.
class DeadlineScope final : public Timer {
 public:
  explicit DeadlineScope(absl::Duration limit);
  ~DeadlineScope();

  // Whether a Cancelled that arrives here is this deadline's doing, and nobody else's.
  bool caused_it() const noexcept { return scope_.cancelled() && !scope_.outer_interrupted(); }

 private:
  void fire() noexcept override { scope_.cancel(); }

  Root& root_;
  CancelScope scope_;
};

absl::Status deadline_exceeded(absl::Duration limit);

template <class A>
Task<typename WithDeadline<awaited_t<A>>::type> with_deadline(absl::Duration limit, A awaitable) {
  if (limit <= absl::ZeroDuration()) co_return deadline_exceeded(limit);
  A own(std::move(awaitable));
  DeadlineScope scope(limit);
  try {
    if constexpr (std::is_void_v<awaited_t<A>>) {
      co_await std::move(own);
      co_return absl::OkStatus();
    } else {
      co_return co_await std::move(own);
    }
  } catch (const Cancelled&) {
    if (!scope.caused_it()) throw;
  }
  co_return deadline_exceeded(limit);
}

}  // namespace internal

template <class A>
  requires internal::Awaitable<A>
auto timeout(absl::Duration limit, A awaitable) {
  auto own = internal::owned(std::move(awaitable));
  return internal::with_deadline<decltype(own)>(limit, std::move(own));
}

}  // namespace weir
