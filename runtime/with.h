// with: a resource, used and closed.
//
//   co_await weir::with(std::move(stream), [](weir::TcpStream& s) -> weir::Task<> { co_await s.write_all(hello); });
//
// Calls body(resource&) and then resource.close(), shielded and waited for, however the body ended: by a result, an
// exception or a cancel. close() is awaited if it can be. The body's outcome is the result; when the body has succeeded,
// an exception of close() is thrown, and a Status of close() that is not OK is the result where the body gives a Status or
// StatusOr, and goes to LoopOptions::on_unhandled where it gives something else, as does a second failure.
// Resources: whatever can be moved and has a close(): TaskGroup, streams, channels, sockets, files.
// Runs in the caller's own task and context. Loop's thread.
#pragma once

#include <concepts>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weir/runtime/awaitable.h"
#include "weir/runtime/result.h"
#include "weir/runtime/task.h"

namespace weir {
namespace internal {

// Hands an exception that nobody awaits to the running task's loop.
void report_unhandled(std::exception_ptr failure);
void report_unhandled(const absl::Status& status);

// Awaits resource.close() in a mask; its Status, OK when it gives none.
template <class Resource>
Task<absl::Status> close_masked(Resource& resource) {
  const CancelScope mask(Root::current(), CancelScope::Kind::kMask);
  using Closed = decltype(resource.close());
  if constexpr (Awaitable<Closed>) {
    if constexpr (std::is_convertible_v<await_result_t<Closed>, absl::Status>) {
      co_return co_await resource.close();
    } else {
      co_await resource.close();
      co_return absl::OkStatus();
    }
  } else {
    resource.close();
    co_return absl::OkStatus();
  }
}

// Without the check that a co_await of a Task makes: closing also starts in a task that is cancelled.
class MaskedClose {
 public:
  explicit MaskedClose(Task<absl::Status> task) noexcept : task_(std::move(task)) {}
  class Awaiter {
   public:
    explicit Awaiter(Task<absl::Status>& task) noexcept : inner_(std::move(task).operator co_await()) {}
    bool await_ready() const noexcept { return false; }
    Transfer await_suspend(std::coroutine_handle<> point) noexcept { return inner_.await_suspend(point); }
    absl::Status await_resume() { return inner_.await_resume(); }

   private:
    Task<absl::Status>::Awaiter inner_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(task_); }

 private:
  Task<absl::Status> task_;
};

template <class R>
concept HoldsStatus = std::is_constructible_v<R, absl::Status> && requires(const R& r) {
  { r.ok() } -> std::convertible_to<bool>;
};

}  // namespace internal

template <class Resource, class Body, class A = std::invoke_result_t<Body&, Resource&>>
  requires internal::Awaitable<A>
Task<internal::awaited_t<A>> with(Resource resource, Body body) {
  using R = internal::awaited_t<A>;
  Resource own(std::move(resource));
  internal::Result<R> outcome;
  try {
    if constexpr (std::is_void_v<R>) {
      co_await body(own);
      outcome.set_value();
    } else {
      outcome.set_value(co_await body(own));
    }
  } catch (...) {
    outcome.set_failure(std::current_exception());
  }
  absl::Status closed;
  try {
    closed = co_await internal::MaskedClose(internal::close_masked(own));
  } catch (...) {
    if (outcome.failure() == nullptr) throw;
    internal::report_unhandled(std::current_exception());
  }
  if (!closed.ok()) {
    if constexpr (internal::HoldsStatus<R>) {
      if (outcome.failure() == nullptr && outcome.value().ok()) co_return R(closed);
    }
    internal::report_unhandled(closed);
  }
  co_return outcome.take();
}

}  // namespace weir
