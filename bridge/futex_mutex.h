// A mutex of four bytes for the threads of the bridge, never for a loop: it sleeps.
//
//   FutexMutex<> mutex;
//   std::lock_guard lock(mutex);
//
// For sections of a few instructions: it spins a little before it sleeps. Uncontended, a lock and an unlock are one
// atomic operation each and no system call; an unlock wakes only if somebody sleeps. Not recursive, not fair.
#pragma once

#include <atomic>
#include <cstdint>

#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class FutexMutex {
 public:
  FutexMutex() = default;
  FutexMutex(const FutexMutex&) = delete;
  FutexMutex& operator=(const FutexMutex&) = delete;

  void lock() {
    for (int i = 0; i < Threads::kSpins; ++i) {
      if (try_lock()) return;
      Threads::pause();
    }
    // Says that somebody sleeps before it does: pairs with unlock(). Who gets the lock this way keeps kContended, as
    // others may sleep too; at worst one wake-up is made for nobody.
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree) Threads::wait(state_, kContended);
  }

  bool try_lock() {
    uint32_t expected = kFree;
    // Pairs with unlock(): what the last holder wrote is seen.
    return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed);
  }

  void unlock() {
    // Pairs with lock() and try_lock().
    if (state_.exchange(kFree, std::memory_order_release) == kContended) Threads::wake(state_, 1);
  }

 private:
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kHeld = 1;
  static constexpr uint32_t kContended = 2;  // held, and somebody may sleep

  typename Threads::template Atomic<uint32_t> state_{kFree};
};

}  // namespace weir::internal
