// Task: a coroutine that runs on a loop.
//
//   weir::Task<int> answer() { co_return 42; }
//   weir::Task<> ask() { int n = co_await answer(); … }
//
// A Task starts when it is awaited; it is awaited once, as an rvalue; it can only be moved. Its result, or the very
// exception object that it ended with, comes out of the co_await. It runs on the thread of the loop whose task awaits it
// (Loop::run or spawn start the first one); a Task that nobody awaits never runs.
//
// Cancelling: when the task at the root of the chain is cancelled, the operation that waits at its end is cancelled, and
// weir::Cancelled unwinds the chain from there. From then on each further co_await of the chain throws it again.
//
// Cost: one frame from the thread's frame allocator a call (runtime/frame.h), no other allocation, no system call.
// Stack: constant, however many awaits complete at once and however deep the chain is.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <utility>

#include "weir/runtime/frame.h"
#include "weir/runtime/result.h"
#include "weir/runtime/root.h"

namespace weir {

template <class T = void>
class Task;

namespace internal {

[[noreturn]] void throw_task_is_spent();
struct TaskAccess;

class TaskPromiseBase : public RecycledMemory {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }

  class FinalAwaiter {
   public:
    FinalAwaiter() = default;
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    Transfer await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      return transfer_to(ended.promise().continuation);
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }

  std::coroutine_handle<> continuation;  // who awaits this task, or has; null: it has not started
};

template <class T>
class TaskPromise : public TaskPromiseBase {
 public:
  Task<T> get_return_object() noexcept;
  void unhandled_exception() noexcept { result.set_failure(std::current_exception()); }
  template <class U = T>
    requires std::convertible_to<U&&, T>
  void return_value(U&& value) {
    result.set_value(std::forward<U>(value));
  }

  Result<T> result;
};

template <>
class TaskPromise<void> : public TaskPromiseBase {
 public:
  Task<void> get_return_object() noexcept;
  void unhandled_exception() noexcept { result.set_failure(std::current_exception()); }
  void return_void() noexcept { result.set_value(); }

  Result<void> result;
};

}  // namespace internal

template <class T>
class [[nodiscard("a Task does nothing until it is awaited: co_await it, or spawn() it")]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;

  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    Task old(std::move(*this));
    frame_ = std::exchange(other.frame_, nullptr);
    return *this;
  }
  ~Task() {
    if (frame_) internal::destroy_frame(frame_);
  }

  class Awaiter {
   public:
    explicit Awaiter(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    bool await_ready() const {
      internal::Root::current().throw_if_interrupted();
      if (!frame_ || frame_.promise().continuation) [[unlikely]] internal::throw_task_is_spent();
      return false;
    }
    internal::Transfer await_suspend(std::coroutine_handle<> parent) noexcept {
      frame_.promise().continuation = parent;
      return internal::transfer_to(frame_);
    }
    T await_resume() { return frame_.promise().result.take(); }

   private:
    std::coroutine_handle<promise_type> frame_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(frame_); }

 private:
  friend promise_type;
  friend struct internal::TaskAccess;
  explicit Task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

// For what starts a Task without awaiting it.
struct internal::TaskAccess {
  template <class T>
  static std::coroutine_handle<TaskPromise<T>> frame(const Task<T>& task) noexcept {
    return task.frame_;
  }
  // Awaited before, or moved from.
  template <class T>
  static bool spent(const Task<T>& task) noexcept {
    return !task.frame_ || task.frame_.promise().continuation;
  }
};

template <class T>
Task<T> internal::TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

inline Task<void> internal::TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace weir
