// How the bridge's protocols reach the machine: atomics, the futex, and the fence of the side that goes to sleep.
//
// Protocols such as BoundedRing take this class as their parameter `Threads`, so that a test can put in its place one
// that explores interleavings over the same code.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>

#include "weir/bridge/futex.h"
#include "weir/bridge/parked.h"

namespace weir::internal {

struct SystemThreads {
  template <class T>
  using Atomic = std::atomic<T>;

  // Open while a thread waits for another, not for work.
  using Parked = internal::Parked;

  static bool wait(const Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns = INT64_MAX) noexcept {
    return futex_wait(word, expected, deadline_ns);
  }
  static void wake(const Atomic<uint32_t>& word, int count) noexcept { futex_wake(word, count); }

  // How often a mutex tries again before it sleeps; pause() is the wait between.
  static constexpr int kSpins = 64;
  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // "I store, then look whether you sleep" against "I say that I sleep, then look at what you stored" needs a full fence
  // on both sides. Where one side runs a million times for each time that the other goes to sleep, the sleeper can pay
  // for both: its heavy_fence() makes each thread of the process that runs pass a full fence (membarrier, about 3 us;
  // 0.1 us if no other thread runs), and the runner's light_fence() only keeps the compiler from reordering.
  //
  // False: the kernel has no membarrier, and both sides must use sequentially consistent operations.
  static bool has_heavy_fence() noexcept;
  static void heavy_fence() noexcept;
  static void light_fence() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }
};

}  // namespace weir::internal
