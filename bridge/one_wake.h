// One thread sleeps until another says, once, that something has ended.
//
//   OneWake<> ended;
//   // the sleeper             // the other
//   ended.wait();              ended.set();
//
//   word_:  kWaiting -> kSleeping (by the sleeper, before it sleeps) -> kSet (by the other)
//
// Why no wake-up is lost: the thread sleeps only while the word is kSleeping, which the futex checks; the other changes it
// to kSet by an exchange, and wakes when it replaced kSleeping. After that exchange it touches nothing but the word's
// address, so the sleeper may be gone, and the word with it, before set() returns.
//
// Cost: no system call where the end comes before the wait, else one on each side.
#pragma once

#include <atomic>
#include <cstdint>

#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class OneWake {
 public:
  OneWake() = default;
  OneWake(const OneWake&) = delete;
  OneWake& operator=(const OneWake&) = delete;

  // What was done before set() has happened when it returns.
  void wait() noexcept {
    uint32_t waiting = kWaiting;
    // relaxed: nothing is published by it. acquire on failure: pairs with set().
    if (!word_.compare_exchange_strong(waiting, kSleeping, std::memory_order_relaxed, std::memory_order_acquire)) return;
    [[maybe_unused]] const typename Threads::Parked parked;
    while (word_.load(std::memory_order_acquire) == kSleeping) Threads::wait(word_, kSleeping);  // pairs with set()
  }

  void set() noexcept {
    // release: pairs with wait().
    if (word_.exchange(kSet, std::memory_order_release) == kSleeping) Threads::wake(word_, 1);
  }

 private:
  static constexpr uint32_t kWaiting = 0;
  static constexpr uint32_t kSleeping = 1;
  static constexpr uint32_t kSet = 2;

  typename Threads::template Atomic<uint32_t> word_{kWaiting};
};

}  // namespace weir::internal
