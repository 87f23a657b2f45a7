// spawn() and JoinHandle: a task of its own, and its result.
//
//   weir::JoinHandle<int> handle = weir::spawn(fetch(url), "fetch");
//   int n = co_await handle;
#pragma once

#include <concepts>
#include <coroutine>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weir/runtime/awaitable.h"
#include "weir/runtime/join_state.h"
#include "weir/runtime/root.h"
#include "weir/runtime/spawned.h"

namespace weir {

template <class R = void>
class JoinHandle;

namespace internal {

// Waits for a task's end. kLeave: a cancel of who waits leaves the task alone. kOwn: it cancels the task, and waits on.
enum class JoinKind : bool { kLeave, kOwn };

class JoinAwaiterBase : public Suspension, public DoneListener {
 public:
  JoinAwaiterBase(JoinStateBase& state, JoinKind kind) noexcept : state_(state), kind_(kind) {}

  bool await_ready() const {
    if (kind_ == JoinKind::kLeave) Root::current().throw_if_interrupted();
    if (!state_.on_own_loop()) [[unlikely]] throw_foreign();
    if (&state_ == thread_state.root) [[unlikely]] throw_own();
    return state_.done();
  }
  void await_suspend(std::coroutine_handle<> point) noexcept {
    root_ = thread_state.root;
    state_.hold();
    root_->wait(point, *this);
    state_.listen(*this);
    if (kind_ == JoinKind::kOwn && root_->interrupted()) state_.cancel();
  }

 protected:
  ~JoinAwaiterBase() {
    if (root_ != nullptr) state_.let_go();
  }
  void check_ended() const {
    if (!state_.done()) throw Cancelled();  // the wait was given up
  }

  JoinStateBase& state_;

 private:
  [[noreturn]] static void throw_foreign();
  [[noreturn]] static void throw_own();

  void cancel() noexcept final;
  void root_done(Root&) noexcept final { root_->ready(); }

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
// Any thread: cancel(), and dropping the handle, which detaches the task; elsewhere than on its loop both are messages to
// that, which it finds when it runs; a drop allocates nothing. Of a task that fails and is never awaited the
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
    if (state_ != nullptr) state_->drop();
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

// What is spawned is moved into a place of the task's own, and gone when the task has ended, whoever keeps the handle.
template <class A>
JoinHandle<awaited_t<A>> begin(A awaitable, std::string_view name, bool shielded = false) {
  using R = awaited_t<A>;
  if constexpr (std::is_same_v<A, Task<R>>) {
    auto* const task = new SpawnedTask<R>(std::move(awaitable));
    task->begin(name, shielded);
    return JoinAccess::make<R>(*task);
  } else {
    return internal::begin(drive<R, A>(std::move(awaitable)), name, shielded);
  }
}

template <class A>
JoinHandle<awaited_t<A>> spawn_owned(A awaitable, std::string_view name = {}, bool shielded = false) {
  return internal::begin(internal::owned(std::move(awaitable)), name, shielded);
}

}  // namespace internal

// Starts a task of its own at the loop's next turn; ready tasks run first in, first out. It runs in a snapshot of the
// caller's context variables. `name` shows in reports. On a loop's thread. Cost: one frame.
template <class A>
  requires internal::Awaitable<A>
JoinHandle<internal::awaited_t<A>> spawn(A awaitable, std::string_view name = {}) {
  return internal::begin(std::move(awaitable), name);
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
