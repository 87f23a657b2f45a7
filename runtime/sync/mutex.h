// Mutex: one task at a time, across its co_awaits.
//
//   weir::Mutex mutex;
//   {
//     weir::Mutex::Guard guard = co_await mutex.lock();
//     co_await file.write_all_at(record, end);
//   }                               // unlocked: the longest waiter has it now
//
// What does no co_await inside needs no mutex: the tasks of a loop take turns only there.
// For the coroutines of one loop, on its thread. Fair: first in, first out, and no barging. Cancelling a waiter takes
// it out; one that was given the mutex already gets its guard. It outlives its guards. Destroyed while somebody waits:
// std::logic_error there. Cost: no allocation, no system call.
#pragma once

#include <coroutine>
#include <optional>
#include <utility>

#include "weir/runtime/sync/waiter.h"

namespace weir {

class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Holds the mutex, until it is destroyed or unlock() is called. May move to another task of the loop.
  class [[nodiscard("the mutex is unlocked when its guard is dropped")]] Guard {
   public:
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&& other) noexcept {
      Guard old(std::move(*this));
      mutex_ = std::exchange(other.mutex_, nullptr);
      return *this;
    }
    ~Guard() { unlock(); }

    // Again, or after a move: nothing.
    void unlock() noexcept {
      if (mutex_ != nullptr) std::exchange(mutex_, nullptr)->unlock();
    }

   private:
    friend class Mutex;
    explicit Guard(Mutex& mutex) noexcept : mutex_(&mutex) {}
    Mutex* mutex_;
  };

  class [[nodiscard("lock() does nothing until it is awaited")]] Lock {
   public:
    explicit Lock(Mutex& mutex) noexcept : mutex_(&mutex) {}

    class Awaiter final : public internal::Waiter {
     public:
      explicit Awaiter(Mutex& mutex) noexcept : mutex_(mutex) {}
      bool await_ready() {
        may_go_on();
        if (mutex_.locked_) return false;
        mutex_.locked_ = true;
        return pass();
      }
      void await_suspend(std::coroutine_handle<> point) noexcept { wait_in(mutex_.waiters_, point); }
      Guard await_resume() const {
        finish();
        return Guard(mutex_);
      }

     private:
      Mutex& mutex_;
    };
    Awaiter operator co_await() const noexcept { return Awaiter(*mutex_); }

   private:
    Mutex* mutex_;
  };
  Lock lock() noexcept { return Lock(*this); }

  // Nothing when it is locked.
  std::optional<Guard> try_lock() noexcept {
    if (locked_) return std::nullopt;
    locked_ = true;
    return Guard(*this);
  }

  bool locked() const noexcept { return locked_; }

 private:
  // To the first who waits: it stays locked on the way.
  void unlock() noexcept {
    if (internal::Waiter* const next = waiters_.first()) {
      waiters_.grant(*next);
    } else {
      locked_ = false;
    }
  }

  bool locked_ = false;
  internal::WaitList waiters_;
};

}  // namespace weir
