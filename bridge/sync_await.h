// sync_await: from a thread, run a coroutine on the loop, and wait for its result.
//
//   int n = weir::sync_await(fetch, url);                          // fetch(url) is called on the loop
//   int n = weir::sync_await(fetch(url));                          // an awaitable in hand; wait_coroutine is the same
//   int n = weir::sync_wait_coroutine(handle, fetch(url));         // any thread, the loop given; or a function and its
//                                                                  // arguments, or wait_coroutine(fetch(url), handle)
//
// The loop is the one for which the bridge runs something on this thread (LoopHandle::current()). The coroutine starts
// in a snapshot of this thread's context variables. The thread sleeps on a futex meanwhile; a pool's worker is parked, so
// that its pool can put another thread in its place. The wait ends when the coroutine's frame is gone, not before.
//
// On the loop's own thread, also between two of its runs: DeadlockError at once. No loop known: LookupError. The loop
// going or gone: LoopClosed. The coroutine cancelled: Cancelled. What it throws comes out here, the same object. In the
// producer of a stream that is closed the coroutine is cancelled (interrupt.h); shield() what has to finish.
//
// Cost: a post, a frame on the loop, and a wake-up each way where the other side sleeps; no allocation here, but for one
// in a stream's producer.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weir/bridge/one_wake.h"
#include "weir/runtime/awaitable.h"
#include "weir/runtime/context.h"
#include "weir/runtime/join.h"
#include "weir/runtime/loop_handle.h"

namespace weir {
namespace internal {

class CancellableWait;

// One wait, on the waiting thread's stack: the loop touches nothing of it once it has set `ended_`.
class SyncWait : public InboxNode, public DoneListener {
 public:
  // The calling thread: hands it to the loop, waits, throws what concerns the loop.
  void run(LoopControl& control);

 protected:
  SyncWait();
  ~SyncWait() = default;

  virtual JoinStateBase& begin() = 0;             // on the loop
  virtual void take_result() noexcept = 0;        // on the loop, at the task's end
  virtual void fail(std::exception_ptr) noexcept = 0;

 private:
  void wait(LoopControl& control);

  void deliver() noexcept final;
  void root_done(Root& root) noexcept final;

  Context context_;
  JoinStateBase* state_ = nullptr;
  CancellableWait* cancellable_ = nullptr;  // in a stream's producer
  bool cut_short_ = false;                  // loop, then here: the coroutine was cancelled
  OneWake<> ended_;
};

// `Make` gives the awaitable, on the loop.
template <class R, class Make>
class TypedSyncWait final : public SyncWait {
 public:
  explicit TypedSyncWait(Make& make) noexcept : make_(make) {}
  R result() { return result_.take(); }

 private:
  JoinStateBase& begin() override {
    handle_ = make_();
    return JoinAccess::state(handle_);
  }
  void take_result() noexcept override {
    auto& ended = JoinAccess::state(handle_);
    ended.observe();
    result_.take_over(ended.result);  // an exception with its one reference: it is destroyed where it is caught
    const JoinHandle<R> gone(std::move(handle_));
  }
  void fail(std::exception_ptr failure) noexcept override {
    result_.reset();
    result_.set_failure(std::move(failure));
  }

  Make& make_;
  JoinHandle<R> handle_;  // loop
  Result<R> result_;
};

LoopControl& current_control_or_throw();

template <class R, class Make>
R sync_run(LoopControl& control, Make make) {
  TypedSyncWait<R, Make> wait(make);
  wait.run(control);
  return wait.result();
}

template <class A>
awaited_t<A> sync_run_awaitable(LoopControl& control, A awaitable) {
  using R = awaited_t<A>;
  return internal::sync_run<R>(control, [&awaitable] {
    return internal::begin(std::move(awaitable), "sync_await");
  });
}

template <class Fn, class... Args>
concept CoroutineFunction = !Awaitable<Fn> && Awaitable<std::invoke_result_t<Fn, Args...>>;

// The function and its arguments stay on the waiting thread's stack, which outlives the coroutine.
template <class Fn, class... Args>
decltype(auto) sync_run_call(LoopControl& control, Fn&& fn, Args&&... args) {
  using A = std::invoke_result_t<Fn, Args...>;
  using R = awaited_t<A>;
  return internal::sync_run<R>(control, [&] {
    return internal::begin(std::invoke(std::forward<Fn>(fn), std::forward<Args>(args)...), "sync_await");
  });
}

}  // namespace internal

template <class A>
  requires internal::Awaitable<A>
internal::awaited_t<A> sync_await(A awaitable) {
  return internal::sync_run_awaitable(internal::current_control_or_throw(), std::move(awaitable));
}

template <class Fn, class... Args>
  requires internal::CoroutineFunction<Fn, Args...>
decltype(auto) sync_await(Fn&& fn, Args&&... args) {
  return internal::sync_run_call(internal::current_control_or_throw(), std::forward<Fn>(fn), std::forward<Args>(args)...);
}

template <class A>
  requires internal::Awaitable<A>
internal::awaited_t<A> wait_coroutine(A awaitable) {
  return weir::sync_await(std::move(awaitable));
}

template <class A>
  requires internal::Awaitable<A>
internal::awaited_t<A> sync_wait_coroutine(LoopHandle loop, A awaitable) {
  return internal::sync_run_awaitable(internal::HandleAccess::control(loop), std::move(awaitable));
}
template <class A>
  requires internal::Awaitable<A>
internal::awaited_t<A> wait_coroutine(A awaitable, LoopHandle loop) {
  return weir::sync_wait_coroutine(std::move(loop), std::move(awaitable));
}

template <class Fn, class... Args>
  requires internal::CoroutineFunction<Fn, Args...>
decltype(auto) sync_wait_coroutine(LoopHandle loop, Fn&& fn, Args&&... args) {
  return internal::sync_run_call(internal::HandleAccess::control(loop), std::forward<Fn>(fn), std::forward<Args>(args)...);
}

}  // namespace weir
