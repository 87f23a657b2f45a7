// Semaphore: so many at a time.
//
//   weir::Semaphore connections(100);
//   weir::Semaphore::Permit permit = co_await connections.acquire();      // or acquire(n); given back when dropped
//
// For the coroutines of one loop, on its thread. Fair: first in, first out; who waits for many is not overtaken by
// those who want few. Cancelling a waiter takes it out and lets those behind it go on; one that was given its permit
// already gets it. It outlives its permits. Destroyed while somebody waits: std::logic_error there.
// Cost: no allocation, no system call.
#pragma once

#include <coroutine>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <utility>

#include "weir/runtime/sync/waiter.h"

namespace weir {

class Semaphore {
 public:
  explicit Semaphore(std::size_t count) noexcept : count_(count), available_(count) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // Holds what was acquired, until it is destroyed or release() is called. May move to another task of the loop.
  class [[nodiscard("a permit is given back when it is dropped")]] Permit {
   public:
    Permit(Permit&& other) noexcept
        : semaphore_(std::exchange(other.semaphore_, nullptr)), count_(std::exchange(other.count_, 0)) {}
    Permit& operator=(Permit&& other) noexcept {
      Permit old(std::move(*this));
      semaphore_ = std::exchange(other.semaphore_, nullptr);
      count_ = std::exchange(other.count_, 0);
      return *this;
    }
    ~Permit() { release(); }

    // Again, or after a move: nothing.
    void release() noexcept {
      if (semaphore_ != nullptr) std::exchange(semaphore_, nullptr)->give_back(std::exchange(count_, 0));
    }

    std::size_t count() const noexcept { return count_; }

   private:
    friend class Semaphore;
    Permit(Semaphore& semaphore, std::size_t count) noexcept : semaphore_(&semaphore), count_(count) {}
    Semaphore* semaphore_;
    std::size_t count_;
  };

  class [[nodiscard("acquire() does nothing until it is awaited")]] Acquire {
   public:
    Acquire(Semaphore& semaphore, std::size_t count) noexcept : semaphore_(&semaphore), count_(count) {}

    class Awaiter final : public internal::Waiter {
     public:
      Awaiter(Semaphore& semaphore, std::size_t count) noexcept : semaphore_(semaphore), count_(count) {}
      bool await_ready() {
        may_go_on();
        return semaphore_.take(count_) && pass();
      }
      void await_suspend(std::coroutine_handle<> point) noexcept { wait_in(semaphore_.waiters_, point); }
      Permit await_resume() const {
        finish();
        return Permit(semaphore_, count_);
      }

     private:
      friend class Semaphore;
      void gave_up() noexcept override { semaphore_.serve(); }
      Semaphore& semaphore_;
      const std::size_t count_;
    };
    Awaiter operator co_await() const noexcept { return Awaiter(*semaphore_, count_); }

   private:
    Semaphore* semaphore_;
    std::size_t count_;
  };

  // More than there ever are: std::logic_error, here.
  Acquire acquire(std::size_t count = 1) {
    check(count);
    return Acquire(*this, count);
  }

  // Nothing when there are not so many now, or others wait.
  std::optional<Permit> try_acquire(std::size_t count = 1) {
    check(count);
    if (!take(count)) return std::nullopt;
    return Permit(*this, count);
  }

  std::size_t available() const noexcept { return available_; }

 private:
  void check(std::size_t count) const {
    if (count > count_) throw std::logic_error("weir::Semaphore: acquire() of more than it has would wait for ever");
  }

  bool take(std::size_t count) noexcept {
    if (!waiters_.empty() || count > available_) return false;
    available_ -= count;
    return true;
  }

  void give_back(std::size_t count) noexcept {
    available_ += count;
    serve();
  }

  // In their order, as far as it goes.
  void serve() noexcept {
    while (internal::Waiter* const first = waiters_.first()) {
      const std::size_t wanted = static_cast<Acquire::Awaiter*>(first)->count_;
      if (wanted > available_) return;
      available_ -= wanted;
      waiters_.grant(*first);
    }
  }

  const std::size_t count_;
  std::size_t available_;
  internal::WaitList waiters_;
};

}  // namespace weir
