// A spawned task as the loop and its handle see it: its root, its result, and who holds it.
//
// It belongs to its loop: the task until it has ended, the handle until it is dropped, and each awaiter that needs the
// result hold it there, by a count that only the loop's thread touches. A handle that is dropped on another thread, or
// while the loop does not run, travels home as a message; when the loop is gone nobody else is left, and it ends the
// state where it is.
#pragma once

#include <atomic>
#include <exception>
#include <string_view>
#include <utility>

#include "weir/runtime/inbox.h"
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/result.h"
#include "weir/runtime/root.h"

namespace weir::internal {

class JoinStateBase : public Root, private InboxNode {
 public:
  // On the task's loop.
  void hold() noexcept { ++holders_; }
  void let_go() noexcept {
    if (--holders_ == 0) end_unless_awaited();
  }

  // The handle is dropped. Any thread.
  void drop() noexcept { on_own_loop() ? let_go() : travel_home(); }

  virtual std::exception_ptr failure() const noexcept = 0;

  // Ended with Cancelled because somebody cancelled it.
  bool ended_cancelled() const noexcept { return ended_by_cancelled_ && cancelled(); }

  // Somebody takes responsibility for the failure, if there is one.
  void observe() noexcept { observed_ = true; }

  // Reports a failure that nobody will see.
  void report() const noexcept;

  LoopControl& control() const noexcept { return *control_; }

  // Of a loop that is gone this may be true of one that took its place: nothing is left there to tell them apart by.
  bool on_own_loop() const noexcept { return thread_state.engine == &engine(); }

  // Any thread that has the handle.
  void request_cancel() noexcept;

 protected:
  JoinStateBase() = default;
  ~JoinStateBase();

  // Enters this thread's loop; see Root::start(). Gives root_end(). LookupError without a loop: then the state is destroyed.
  std::coroutine_handle<> begin(std::coroutine_handle<> entry, Suspension* before_start, std::string_view name, bool shielded);
  void note_failure(const std::exception_ptr& failure) noexcept;
  void end() noexcept;  // the task has ended, its result is there
  virtual void destroy() noexcept = 0;

 private:
  class CancelRequest;

  void deliver() noexcept final { let_go(); }  // the handle has come home
  void travel_home() noexcept;
  void end_unless_awaited() noexcept;
  void end_of_life() noexcept;

  LoopControl* control_ = nullptr;  // one reference of the engine's batch
  int holders_ = 2;                 // the task and its handle; awaiters come and go
  // Cancels on their way to the loop. relaxed, all: they are sent by who has the handle, so whoever lets go of the state
  // for the handle knows of them by the way that the handle has come.
  std::atomic<int> requests_{0};
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
  void set_failure(std::exception_ptr failure) noexcept {
    note_failure(failure);
    result.set_failure(std::move(failure));
  }
};

}  // namespace weir::internal
