// spawn() and JoinHandle: a task of its own, and its result.
//
//   weir::JoinHandle<int> handle = weir::spawn(fetch(url), "fetch");
//   int n = co_await handle;
#pragma once

#include <atomic>
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
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/result.h"
#include "weir/runtime/root.h"

namespace weir {

template <class R = void>
class JoinHandle;

namespace internal {

// A spawned task: its root, its result, and who refers to it. Lives in the promise of the coroutine that spawn() makes,
// until the loop (at the task's end) and the handle have both let go.
class JoinStateBase : public Root {
 public:
  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }  // the caller holds one
  void release() noexcept {
    // acquire: pairs with the other side's acq_rel decrement, when that one came first.
    if (references_.load(std::memory_order_acquire) == 1 || references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      let_go();
    }
  }

  virtual std::exception_ptr failure() const noexcept = 0;

  // Ended with Cancelled because somebody cancelled it.
  bool ended_cancelled() const noexcept { return ended_by_cancelled_ && cancelled(); }

  // Somebody takes responsibility for the failure, if there is one.
  void observe() noexcept { observed_ = true; }

  // Reports a failure that nobody will see.
  void report() const noexcept;

  LoopControl& control() const noexcept { return *control_; }
  bool on_own_loop() const noexcept;

  // Any thread.
  void request_cancel() noexcept;

  // Who waits for the end needs the result after it, also when the handle is dropped meanwhile. On the task's loop.
  void pin() noexcept { ++pins_; }
  void unpin() noexcept {
    if (--pins_ == 0 && done()) release();
  }

 protected:
  JoinStateBase() = default;
  ~JoinStateBase();

  void begin(std::coroutine_handle<> entry, std::string_view name, bool shielded);
  void note_failure() noexcept;  // in the handler of the exception that ended the task
  void end() noexcept;           // at the final suspension
  virtual void destroy_frame() noexcept = 0;

 private:
  void let_go() noexcept;

  LoopControl* control_ = nullptr;  // one reference of the engine's batch
  std::atomic<int> references_{2};
  int pins_ = 1;  // the task that runs, and those who wait; together they hold one reference
  bool observed_ = false;
  bool ended_by_cancelled_ = false;
};

template <class R>
class JoinState : public JoinStateBase {
 public:
  std::exception_ptr failure() const noexcept final { return result.failure(); }
  Result<R> result;

 protected:
  ~JoinState() = default;
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
class SpawnedPromiseBase : public JoinState<R> {
 public:
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }

  std::suspend_always initial_suspend() const noexcept { return {}; }
  class FinalAwaiter {
   public:
    FinalAwaiter() = default;
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      ended.promise().finished();  // may destroy the frame
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept {
    this->note_failure();
    this->result.set_failure(std::current_exception());
  }
  void finished() noexcept { this->end(); }

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
    JoinStateBase::begin(std::coroutine_handle<Promise>::from_promise(*this), name, shielded);
  }

 private:
  void destroy_frame() noexcept override {
    internal::destroy_frame(std::coroutine_handle<Promise>::from_promise(*this));
  }
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

// Waits for a task's end. kLeave: a cancel of who waits leaves the task alone. kOwn: it cancels the task, and waits on.
enum class JoinKind : bool { kLeave, kOwn };

class JoinAwaiterBase : public Suspension, public DoneListener {
 public:
  JoinAwaiterBase(JoinStateBase& state, JoinKind kind) noexcept : state_(state), kind_(kind) {}

  bool await_ready() const;
  void await_suspend(std::coroutine_handle<> point) noexcept;

 protected:
  ~JoinAwaiterBase() {
    if (root_ != nullptr) state_.unpin();
  }
  void check_ended() const;  // throws Cancelled when the wait was given up

  JoinStateBase& state_;

 private:
  void cancel() noexcept final;
  void root_done(Root& root) noexcept final;

  const JoinKind kind_;
  Root* root_ = nullptr;
};

template <class R, bool kTake>
class JoinAwaiter final : public JoinAwaiterBase {
 public:
  JoinAwaiter(JoinState<R>& state, JoinKind kind) noexcept : JoinAwaiterBase(state, kind) {}
  R await_resume() {
    check_ended();
    state_.observe();
    auto& result = static_cast<JoinState<R>&>(state_).result;
    if constexpr (kTake || !std::is_copy_constructible_v<R>) {
      return result.take();
    } else {
      return result.value();
    }
  }
};
template <bool kTake>
class JoinAwaiter<void, kTake> final : public JoinAwaiterBase {
 public:
  JoinAwaiter(JoinState<void>& state, JoinKind kind) noexcept : JoinAwaiterBase(state, kind) {}
  void await_resume() {
    check_ended();
    state_.observe();
    static_cast<JoinState<void>&>(state_).result.value();
  }
};

struct JoinAccess;

}  // namespace internal

// The result of a spawned task. Moves only. co_await it on its loop, as an rvalue (the result is moved out) or as an
// lvalue (copied out if it can be, so that it can be awaited again). Cancelling who awaits leaves the task alone; a
// handle that is moved into gather, race, timeout or a TaskGroup is cancelled with it.
//
// Any thread: cancel(), and dropping the handle, which detaches the task. Of a task that fails and is never awaited the
// exception goes to LoopOptions::on_unhandled, once.
template <class R>
class [[nodiscard("a dropped JoinHandle detaches its task: say (void) if you mean it")]] JoinHandle {
 public:
  JoinHandle() noexcept = default;
  JoinHandle(JoinHandle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  JoinHandle& operator=(JoinHandle&& other) noexcept {
    const JoinHandle old(std::move(*this));
    state_ = std::exchange(other.state_, nullptr);
    return *this;
  }
  ~JoinHandle() {
    if (state_ != nullptr) state_->release();
  }

  // Whether the task has ended, in whatever way. On its loop.
  bool done() const noexcept { return state_ != nullptr && state_->done(); }

  // The task wants to end: weir::Cancelled at its next or present co_await. Idempotent; no effect on one that is done.
  void cancel() const noexcept {
    if (state_ != nullptr) state_->request_cancel();
  }

  explicit operator bool() const noexcept { return state_ != nullptr; }

  auto operator co_await() const& { return internal::JoinAwaiter<R, false>(state(), internal::JoinKind::kLeave); }
  auto operator co_await() && { return internal::JoinAwaiter<R, true>(state(), internal::JoinKind::kLeave); }

 private:
  friend struct internal::JoinAccess;
  explicit JoinHandle(internal::JoinState<R>* state) noexcept : state_(state) {}
  internal::JoinState<R>& state() const {
    if (state_ == nullptr) throw std::logic_error("weir: this JoinHandle refers to no task (moved from, or never set)");
    return *state_;
  }

  internal::JoinState<R>* state_ = nullptr;
};

namespace internal {

// A handle that is cancelled with who awaits it.
template <class R>
class OwnedJoin {
 public:
  explicit OwnedJoin(JoinHandle<R> handle) noexcept : handle_(std::move(handle)) {}
  OwnedJoin(OwnedJoin&&) noexcept = default;
  ~OwnedJoin() { handle_.cancel(); }  // no effect on a task that was awaited
  auto operator co_await() &&;

 private:
  JoinHandle<R> handle_;
};

struct JoinAccess {
  template <class R>
  static JoinHandle<R> make(JoinState<R>& state) noexcept {
    return JoinHandle<R>(&state);
  }
  template <class R>
  static JoinState<R>& state(const JoinHandle<R>& handle) {
    return handle.state();
  }
};

template <class R>
auto OwnedJoin<R>::operator co_await() && {
  return JoinAwaiter<R, true>(JoinAccess::state(handle_), JoinKind::kOwn);
}

template <class A>
decltype(auto) owned(A&& awaitable) {
  return std::forward<A>(awaitable);
}
template <class R>
OwnedJoin<R> owned(JoinHandle<R>&& handle) {
  return OwnedJoin<R>(std::move(handle));
}

template <class R>
JoinHandle<R> begin(Spawned<R> spawned, std::string_view name, bool shielded = false) {
  auto& promise = spawned.promise();
  promise.begin(name, shielded);
  return JoinAccess::make<R>(promise);
}

template <class A>
JoinHandle<awaited_t<A>> spawn_owned(A awaitable, std::string_view name = {}, bool shielded = false) {
  auto own = internal::owned(std::move(awaitable));
  return internal::begin(drive<awaited_t<A>, decltype(own)>(std::move(own)), name, shielded);
}

}  // namespace internal

// Starts a task of its own at the loop's next turn; ready tasks run first in, first out. It runs in a snapshot of the
// caller's context variables. `name` shows in reports. On a loop's thread. Cost: one frame.
template <class A>
  requires internal::Awaitable<A>
JoinHandle<internal::awaited_t<A>> spawn(A awaitable, std::string_view name = {}) {
  return internal::begin(internal::drive<internal::awaited_t<A>, A>(std::move(awaitable)), name);
}

// The same for fn(args...), called when the task starts. The function object and the arguments are kept until the task
// has ended: a lambda with captures is safe here, where spawn(lambda()) would leave the coroutine with a dead closure.
template <class Fn, class... Args>
  requires(!internal::Awaitable<Fn> && std::invocable<std::decay_t<Fn>&, std::decay_t<Args>...> &&
           internal::Awaitable<std::invoke_result_t<std::decay_t<Fn>&, std::decay_t<Args>...>>)
auto spawn(Fn&& fn, Args&&... args) {
  using A = std::invoke_result_t<std::decay_t<Fn>&, std::decay_t<Args>...>;
  using R = internal::awaited_t<A>;
  return internal::begin(internal::drive_call<R, std::decay_t<Fn>, std::decay_t<Args>...>(std::forward<Fn>(fn), std::forward<Args>(args)...), {});
}

}  // namespace weir
