// How what is spawned gets a root: a Task runs under a record of its own; all else that can be awaited, and a function
// with its arguments, under a coroutine that awaits it.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weir/runtime/awaitable.h"
#include "weir/runtime/frame.h"
#include "weir/runtime/join_state.h"
#include "weir/runtime/task.h"

namespace weir::internal {

// A spawned Task. Its frame goes when it has ended, whoever keeps the handle; the result moves over here.
template <class R>
class SpawnedTask final : public JoinState<R>, public RecycledMemory, private Suspension {
 public:
  explicit SpawnedTask(Task<R> task) noexcept : task_(std::move(task)) {}

  void begin(std::string_view name, bool shielded) {
    const auto frame = TaskAccess::frame(task_);
    const auto root_end = JoinStateBase::begin(frame, this, name, shielded);
    if (TaskAccess::spent(task_)) [[unlikely]] return refuse();
    frame.promise().continuation = root_end;
  }

 private:
  ~SpawnedTask() = default;
  void destroy() noexcept override { delete this; }

  // Cancelled before its first turn: it never starts.
  void cancel() noexcept override {
    if (!this->result.empty()) return;  // refused
    this->set_failure(std::make_exception_ptr(Cancelled()));
    this->skip_to_end();
  }
  void refuse() noexcept {
    if (!this->result.empty()) return;  // cancelled
    try {
      throw_task_is_spent();
    } catch (...) {
      this->set_failure(std::current_exception());
    }
    this->skip_to_end();
  }

  void ended() noexcept override {
    if (this->result.empty()) {
      this->result.take_over(TaskAccess::frame(task_).promise().result);
      if (!this->result.has_value()) this->note_failure(this->result.failure());
    }
    { const Task<R> gone(std::move(task_)); }
    this->end();
  }

  Task<R> task_;
};

// The coroutine around what was spawned.
template <class R>
class Spawned {
 public:
  class Promise;
  using promise_type = Promise;
  explicit Spawned(Promise& promise) noexcept : promise_(promise) {}
  Promise& promise() const noexcept { return promise_; }

 private:
  Promise& promise_;
};

template <class R>
class SpawnedPromiseBase : public JoinState<R>, public RecycledMemory {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }
  class FinalAwaiter {
   public:
    FinalAwaiter() = default;
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> at_end) const noexcept {
      at_end.promise().ended();  // may destroy the frame
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { this->set_failure(std::current_exception()); }
  void ended() noexcept final { this->end(); }

 protected:
  ~SpawnedPromiseBase() = default;
};

template <class R>
class SpawnedPromiseReturn : public SpawnedPromiseBase<R> {
 public:
  template <class U>
  void return_value(U&& value) {
    this->result.set_value(std::forward<U>(value));
  }

 protected:
  ~SpawnedPromiseReturn() = default;
};
template <>
class SpawnedPromiseReturn<void> : public SpawnedPromiseBase<void> {
 public:
  void return_void() noexcept { result.set_value(); }

 protected:
  ~SpawnedPromiseReturn() = default;
};

template <class R>
class Spawned<R>::Promise final : public SpawnedPromiseReturn<R> {
 public:
  Spawned get_return_object() noexcept { return Spawned(*this); }
  void begin(std::string_view name, bool shielded) {
    JoinStateBase::begin(std::coroutine_handle<Promise>::from_promise(*this), nullptr, name, shielded);
  }

 private:
  void destroy() noexcept override { destroy_frame(std::coroutine_handle<Promise>::from_promise(*this)); }
};

// What was spawned is moved into a local, so that it is gone when the task has ended, whoever keeps the handle.
template <class R, class A>
Spawned<R> drive(A awaitable) {
  A own(std::move(awaitable));
  co_return co_await std::move(own);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"  // the frame of a coroutine that holds a lambda, for g++ 12
#endif
template <class R, class Fn, class... Args>
Spawned<R> drive_call(Fn fn, Args... args) {
  Fn own_fn(std::move(fn));
  std::tuple<Args...> own_args(std::move(args)...);
  Root::current().throw_if_interrupted();  // cancelled before it started: it never does
  auto call = [&own_fn](Args&... held) { return std::invoke(own_fn, std::forward<Args>(held)...); };
  auto awaitable = std::apply(call, own_args);
  co_return co_await std::move(awaitable);
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace weir::internal
