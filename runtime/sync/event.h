// Event: tasks wait until somebody says so.
//
//   weir::Event ready;
//   co_await ready.wait();          // at once while it is set
//   ready.set();                    // wakes all who wait, in the order in which they came
//
// For the coroutines of one loop, on its thread. Cancelling a waiter takes it out. Whom set() has woken goes on, even
// if reset() comes before its turn. Destroyed while somebody waits: std::logic_error there.
// Cost: no allocation, no system call.
#pragma once

#include <coroutine>

#include "weir/runtime/sync/waiter.h"

namespace weir {

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void set() noexcept {
    set_ = true;
    waiters_.grant_all();
  }
  void reset() noexcept { set_ = false; }
  bool is_set() const noexcept { return set_; }

  class [[nodiscard("wait() does nothing until it is awaited")]] Wait {
   public:
    explicit Wait(Event& event) noexcept : event_(&event) {}

    class Awaiter final : public internal::Waiter {
     public:
      explicit Awaiter(Event& event) noexcept : event_(event) {}
      bool await_ready() {
        may_go_on();
        return event_.set_ && pass();
      }
      void await_suspend(std::coroutine_handle<> point) noexcept { wait_in(event_.waiters_, point); }
      void await_resume() const { finish(); }

     private:
      Event& event_;
    };
    Awaiter operator co_await() const noexcept { return Awaiter(*event_); }

   private:
    Event* event_;
  };
  Wait wait() noexcept { return Wait(*this); }

 private:
  bool set_ = false;
  internal::WaitList waiters_;
};

}  // namespace weir
