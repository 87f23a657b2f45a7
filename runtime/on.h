// on: work on another loop.
//
//   int n = co_await weir::on(other.handle(), [](int x) -> weir::Task<int> { co_return x + 1; }, 41);
//
// Calls fn(args...), a coroutine or a plain function, in a task of its own on the other loop and gives its result here. It
// runs in a snapshot of the context variables taken in the call. The function object and the arguments are moved over, and
// destroyed there. Cancelling who awaits: what has not begun over there never does; what has is cancelled and waited for.
// If the other loop is going or gone: LoopClosed. If it runs on this very thread: DeadlockError, as of two loops of a
// thread one stands still while the other runs. Cost: an allocation, a frame there, and a post each way.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weir/runtime/context.h"
#include "weir/runtime/join.h"
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/task.h"

namespace weir {
namespace internal {

// One call between two loops. Counted: who awaits, the task over there, and a cancel on its way.
//
//   asked -> (there) claimed, running -> answered -> (here) resumed
//   asked -> (here) claimed by a cancel, resumed;  (there) dropped
//
// claimed_ decides which of the two it is.
// Each arrow between loops is an inbox node, whose push and take order the memory. Who awaits stays until the answer is
// in, so the answer always finds it.
class RemoteCall : public Suspension {
 public:
  bool await_ready() const {
    Root::current().throw_if_interrupted();
    if (waits_for_own_thread(*there_.get())) throw_deadlock();
    return false;
  }
  bool await_suspend(std::coroutine_handle<> point);

 protected:
  RemoteCall(ControlRef home, ControlRef there, Context snapshot) noexcept;
  virtual ~RemoteCall() = default;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }  // the caller holds one
  void release() noexcept {
    // acq_rel, with itself: whoever deletes sees what the others did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // Over there: begins the task and returns its state; throws what the start throws.
  virtual JoinStateBase& begin_there() = 0;
  // Over there: the task has ended: takes its result.
  virtual void take_result() noexcept = 0;

  void check_answer();

  Context snapshot_;  // here, then there

  template <class>
  friend class RemoteAwait;

 private:
  class Ask final : public InboxNode {
   public:
    explicit Ask(RemoteCall& call) noexcept : call_(call) {}
    void deliver() noexcept override { call_.run_there(); }

   private:
    RemoteCall& call_;
  };
  class Answer final : public InboxNode, public DoneListener {
   public:
    explicit Answer(RemoteCall& call) noexcept : call_(call) {}
    void root_done(Root&) noexcept override { call_.answer(); }
    void deliver() noexcept override { call_.answered(); }

   private:
    RemoteCall& call_;
  };
  class CancelThere;

  // Whether the other of the two loops belongs to the calling thread, the one of them that runs.
  bool waits_for_own_thread(const LoopControl& other) const noexcept { return home_.get() != there_.get() && other.on_own_thread(); }
  [[noreturn]] static void throw_deadlock();

  void cancel() noexcept final;
  void run_there() noexcept;
  void answer() noexcept;
  void send_answer() noexcept;
  void answered() noexcept;

  const ControlRef home_;
  const ControlRef there_;
  Ask ask_{*this};
  Answer answer_{*this};
  Root* root_ = nullptr;                  // here
  JoinStateBase* state_ = nullptr;        // there
  std::exception_ptr start_failure_;      // there, then here
  bool cut_off_ = false;                  // there, then here: the loop over there went
  bool cancel_came_ = false;              // there
  bool refused_ = false;                  // here: the loop over there was gone
  bool withdrawn_ = false;                // here: cancelled before it was claimed there
  std::atomic<bool> claimed_{false};      // relaxed: it orders nothing but itself, the inboxes order the rest
  std::atomic<int> references_{1};
};

template <class R, class Fn, class... Args>
class TypedRemoteCall final : public RemoteCall {
 public:
  TypedRemoteCall(ControlRef home, ControlRef there, Context snapshot, Fn fn, Args... args)
      : RemoteCall(std::move(home), std::move(there), std::move(snapshot)), fn_(std::move(fn)), args_(std::move(args)...) {}

  R result() {
    check_answer();
    return result_.take();
  }
  void drop() noexcept { release(); }

 private:
  JoinStateBase& begin_there() override {
    auto call = [this](Args&... args) {
      const ContextScope scope(snapshot_);
      return internal::begin(drive_call<R, Fn, Args...>(std::move(fn_), std::move(args)...), "on");
    };
    handle_ = std::apply(call, args_);
    return JoinAccess::state(handle_);
  }
  void take_result() noexcept override {
    auto& ended = JoinAccess::state(handle_);
    result_.take_over(ended.result);  // an exception with its one reference: it is destroyed where it is caught
    ended.observe();
    const JoinHandle<R> gone(std::move(handle_));
  }

  Fn fn_;
  std::tuple<Args...> args_;
  JoinHandle<R> handle_;  // there
  Result<R> result_;
};

// Awaits a call and holds a reference to it.
template <class Call>
class RemoteAwait {
 public:
  explicit RemoteAwait(Call& call) noexcept : call_(call) {}
  bool await_ready() const { return call_.await_ready(); }
  bool await_suspend(std::coroutine_handle<> point) { return call_.await_suspend(point); }
  decltype(auto) await_resume() { return call_.result(); }

 private:
  Call& call_;
};

LoopControl& running_control();

template <class R, class Fn, class... Args>
Task<R> on_loop(ControlRef there, Context snapshot, Fn fn, Args... args) {
  using Call = TypedRemoteCall<R, Fn, Args...>;
  Call* const call = new Call(ControlRef::share(&running_control()), std::move(there), std::move(snapshot), std::move(fn),
                              std::move(args)...);
  class Drop {
   public:
    explicit Drop(Call& held) noexcept : held_(held) {}
    ~Drop() { held_.drop(); }

   private:
    Call& held_;
  } const drop(*call);
  RemoteAwait<Call> answer(*call);
  co_return co_await answer;
}

template <class R, class Fn, class... Args>
Task<R> call_plainly(Fn fn, Args... args) {
  co_return static_cast<R>(std::invoke(fn, std::move(args)...));
}

}  // namespace internal

template <class Fn, class... Args>
  requires(internal::Awaitable<std::invoke_result_t<std::decay_t<Fn>&, std::decay_t<Args>...>>)
auto on(LoopHandle loop, Fn&& fn, Args&&... args) {
  using R = internal::awaited_t<std::invoke_result_t<std::decay_t<Fn>&, std::decay_t<Args>...>>;
  return internal::on_loop<R, std::decay_t<Fn>, std::decay_t<Args>...>(
      internal::ControlRef::share(&internal::HandleAccess::control(loop)), internal::Context::current(), std::forward<Fn>(fn),
      std::forward<Args>(args)...);
}

// A plain function.
template <class Fn, class... Args>
  requires(std::is_invocable_v<std::decay_t<Fn>&, std::decay_t<Args>...> &&
           !internal::Awaitable<std::invoke_result_t<std::decay_t<Fn>&, std::decay_t<Args>...>>)
auto on(LoopHandle loop, Fn&& fn, Args&&... args) {
  using R = std::invoke_result_t<std::decay_t<Fn>&, std::decay_t<Args>...>;
  return weir::on(std::move(loop), &internal::call_plainly<R, std::decay_t<Fn>, std::decay_t<Args>...>, std::forward<Fn>(fn),
                  std::forward<Args>(args)...);
}

}  // namespace weir
