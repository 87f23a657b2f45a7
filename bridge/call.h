// Call<R>: a piece of blocking work that runs on a pool, and its result.
//
//   auto digest = weir::threaded([](std::string path) { return slow_hash(path); });
//   weir::Call<std::string> call = digest("/etc/hosts");      // submitted here
//   std::string d = co_await std::move(call);
//
// A thread takes the job, or a cancel withdraws it before: one of them wins (call_word.h), and the function and its
// arguments are the winner's to destroy. So a cancelled caller unwinds only when a queued job holds nothing any more that
// could refer to its locals. The job's end travels through the loop's inbox, so no wake-up is lost (inbox.h); when the loop
// is gone a queued job does not run, and a result is dropped.
//
// Cost: one allocation a call; on the way back a post, an eventfd is written only if the loop sleeps.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weir/bridge/call_word.h"
#include "weir/runtime/context.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/frame.h"
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/result.h"
#include "weir/runtime/root.h"

namespace weir {
namespace internal {

// kDetached: a cancelled caller leaves a running job behind. kAttached: it asks the job to stop and waits for its end.
enum class CallKind : bool { kDetached, kAttached };

// Shared by the Call and the executor. Counted.
class CallStateBase : public Job, public InboxNode, public RecycledMemory {
 public:
  CallStateBase(Executor* executor, CallKind kind, bool wants_stop);
  CallStateBase(const CallStateBase&) = delete;
  CallStateBase& operator=(const CallStateBase&) = delete;

  // On a loop: hands the job to the executor. Throws PoolClosed, and what a loop without executor throws.
  void submit();
  bool lazy() const noexcept { return word_.lazy(); }

  // --- the awaiting task, on the loop
  void begin_await();  // std::logic_error when another loop submitted it, or it was awaited before
  bool ended() const noexcept { return delivered_ && !withdrawn_; }  // there is a result
  void await(Root& root, std::coroutine_handle<> point, Suspension& place) noexcept;
  // The caller does not want it any more. True: it may go on at once. False: attached and running, wait for the end.
  bool give_up() noexcept;
  void observe() noexcept { observed_ = true; }

  // The Call is dropped, on any thread.
  void release() noexcept;

  // --- Job, InboxNode
  void run() noexcept final;
  void drop() noexcept final;
  void deliver() noexcept final;

 protected:
  virtual ~CallStateBase();
  virtual void invoke(std::stop_token stop) = 0;  // stores the result; may throw
  virtual void forget_callable() noexcept = 0;    // destroys the function and its arguments
  virtual void fail(std::exception_ptr failure) noexcept = 0;
  virtual std::exception_ptr failure() const noexcept = 0;

 private:
  void end() noexcept;
  void hand_back() noexcept;

  CallWord<> word_;
  const CallKind kind_;
  bool awaited_ = false;             // loop
  bool delivered_ = false;           // loop: the executor has let go of it
  bool withdrawn_ = false;           // loop: cancelled before a thread took it, so that it never has a result
  bool observed_ = false;            // loop: somebody has, or had, the result
  bool counted_ = false;             // loop: among the jobs that the loop waits for at its end
  Executor* executor_;               // null: the loop's
  LoopControl* control_ = nullptr;   // of the loop that awaits; one of its engine's batch of references
  Context context_;                  // of the call
  Root* waiting_ = nullptr;          // loop
  std::stop_source stop_{std::nostopstate};
};

template <class R>
class CallState : public CallStateBase {
 public:
  using CallStateBase::CallStateBase;
  Result<R> result;

 private:
  void fail(std::exception_ptr failure) noexcept final { result.set_failure(std::move(failure)); }
  std::exception_ptr failure() const noexcept final { return result.failure(); }
};

// The function and its arguments, until they have run.
template <class R, class Fn, class... Args>
class TypedCallState final : public CallState<R> {
 public:
  template <class F, class... A>
  TypedCallState(Executor* executor, CallKind kind, F&& fn, A&&... args)
      : CallState<R>(executor, kind, !std::is_invocable_v<Fn&, Args...>), work_(std::in_place, std::forward<F>(fn), std::forward<A>(args)...) {}

 private:
  void invoke([[maybe_unused]] std::stop_token stop) override {
    auto call = [&](Args&... args) -> R {
      if constexpr (std::is_invocable_v<Fn&, Args...>) {
        return static_cast<R>(std::invoke(work_->fn, std::forward<Args>(args)...));
      } else {
        return static_cast<R>(std::invoke(work_->fn, std::move(stop), std::forward<Args>(args)...));
      }
    };
    if constexpr (std::is_void_v<R>) {
      std::apply(call, work_->args);
      this->result.set_value();
    } else {
      this->result.set_value(std::apply(call, work_->args));
    }
  }
  void forget_callable() noexcept override { work_.reset(); }

  class Work {
   public:
    template <class F, class... A>
    explicit Work(F&& function, A&&... arguments) : fn(std::forward<F>(function)), args(std::forward<A>(arguments)...) {}
    Fn fn;
    std::tuple<Args...> args;
  };
  std::optional<Work> work_;
};

}  // namespace internal

// Await it once, as an rvalue, on a loop. Where no loop ran when it was made, the await submits it, with the context of
// the call. Dropped or detached, it runs all the same, and a failure goes to LoopOptions::on_unhandled.
//
// Cancelling who awaits: a queued job never runs, and is destroyed at once, on the loop; a running one goes on, and its
// result is dropped, so it must own what it uses, unless it is attached().
template <class R>
class [[nodiscard("co_await the call for its result, or detach() it")]] Call {
 public:
  explicit Call(internal::CallState<R>& state) noexcept : state_(&state) {}
  Call(Call&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Call& operator=(Call&& other) noexcept {
    Call old(std::move(*this));
    state_ = std::exchange(other.state_, nullptr);
    return *this;
  }
  ~Call() {
    if (state_ != nullptr) state_->release();
  }

  // Lets it run; nobody wants the result. On a loop, or where one was running when it was made.
  void detach() && {
    const Call old(std::move(*this));
  }

  class Awaiter final : public internal::Suspension {
   public:
    explicit Awaiter(internal::CallState<R>& state) noexcept : state_(state) {}

    bool await_ready() {
      internal::Root& root = internal::Root::current();
      state_.begin_await();
      if (root.interrupted()) {
        state_.observe();
        if (state_.lazy() || state_.give_up()) throw Cancelled();
        return false;  // attached and running: waits for the end all the same
      }
      if (state_.lazy()) state_.submit();
      return state_.ended();
    }
    void await_suspend(std::coroutine_handle<> point) noexcept {
      root_ = internal::thread_state.root;
      state_.await(*root_, point, *this);
    }
    R await_resume() {
      state_.observe();
      if (!state_.ended()) throw Cancelled();
      return state_.result.take();
    }

   private:
    void cancel() noexcept override {
      if (state_.give_up()) root_->ready();
    }

    internal::CallState<R>& state_;
    internal::Root* root_ = nullptr;
  };
  Awaiter operator co_await() && {
    if (state_ == nullptr) throw std::logic_error("weir: this Call was moved from, or detached");
    return Awaiter(*state_);
  }

 private:
  internal::CallState<R>* state_;
};

}  // namespace weir
