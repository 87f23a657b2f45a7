// What the primitives of runtime/sync/ are made of: tasks that wait in a list, first in, first out.
//
// A Waiter is the base of an awaiter, in the frame of the task that waits; a WaitList belongs to the primitive. Whoever
// changes the primitive so that a waiter may go on gives it its share first (a permit, an item) and then grants: nobody
// can take the share in between, which makes the primitives fair. A cancel takes a waiter out of the list if it has not
// been granted; if it has, the share is delivered all the same, and the next co_await of the task throws.
//
// Loop's thread. Cost: no allocation, no system call.
#pragma once

#include <coroutine>

#include "weir/runtime/intrusive_list.h"
#include "weir/runtime/root.h"

namespace weir::internal {

class WaitList;

// An awaiter's await_ready() calls may_go_on() and, if there is something to take, takes it and returns pass(); its
// await_suspend() calls wait_in(), its await_resume() finish(). What users get from a primitive is not a Waiter: it may be
// kept and moved, and makes the Waiter where it is awaited.
class Waiter : public Suspension {
 protected:
  Waiter() = default;
  ~Waiter() = default;

  // Throws Cancelled in a task that is cancelled, LookupError outside of tasks.
  void may_go_on() {
    Root::current().throw_if_interrupted();
    state_ = State::kWaiting;
  }

  // There is no need to wait. False, for a trip round the ready queue, every kPassesMax times: a task for which
  // everything is always there must not keep the others, timers and I/O from their turn.
  [[nodiscard]] bool pass() noexcept;

  // Goes to the end of the list; after pass(), only to the back of the ready queue.
  void wait_in(WaitList& list, std::coroutine_handle<> point) noexcept;

  // Throws Cancelled if the wait was given up, std::logic_error if the primitive was destroyed meanwhile.
  void finish() const {
    if (state_ != State::kGranted) [[unlikely]] throw_not_granted();
  }

 private:
  friend class WaitList;

  enum class State { kWaiting, kGranted, kCancelled, kAbandoned };
  static constexpr unsigned kPassesMax = 128;

  void cancel() noexcept final;
  virtual void gave_up() noexcept {}  // out of the list: those behind may go on now
  [[noreturn]] void throw_not_granted() const;

  Waiter* previous_ = nullptr;
  Waiter* following_ = nullptr;
  Root* root_ = nullptr;
  WaitList* list_ = nullptr;
  State state_ = State::kWaiting;
};

class WaitList {
 public:
  WaitList() = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  // Who still waits gets std::logic_error: nobody else could ever wake it.
  ~WaitList() { wake_all(Waiter::State::kAbandoned); }

  bool empty() const noexcept { return waiters_.empty(); }
  Waiter* first() const noexcept { return waiters_.first(); }

  // The waiter has its share: it leaves the list and its task becomes ready.
  void grant(Waiter& waiter) noexcept { wake(waiter, Waiter::State::kGranted); }
  void grant_all() noexcept { wake_all(Waiter::State::kGranted); }

 private:
  friend class Waiter;

  void wake(Waiter& waiter, Waiter::State state) noexcept {
    waiters_.remove(waiter);
    waiter.state_ = state;
    waiter.root_->ready();
  }
  void wake_all(Waiter::State state) noexcept {
    while (Waiter* const waiter = waiters_.first()) wake(*waiter, state);
  }

  IntrusiveList<Waiter, &Waiter::previous_, &Waiter::following_> waiters_;
};

}  // namespace weir::internal
