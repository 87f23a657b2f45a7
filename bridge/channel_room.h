// Room for a number of items in a channel: a semaphore on which threads sleep, and that a loop only raises.
//
// The word `room_` says how many more may be put; its top bit that the channel is closed.
//   A sender takes one by a compare-exchange while it is not 0. At 0 it counts itself in sleepers_, looks again, and
//   sleeps on the word while it is 0. The loop gives one back, then looks at sleepers_; so does who closes. Both sides are
//   sequentially consistent: either the sender sees the room, or the close, or they see the sleeper, and the futex compares
//   once more.
//   Of who sleeps for nothing, because another took the room that woke it, nobody is left behind: the room that the other
//   took comes back, and wakes again.
//
// The word `asked_`: the loop, whose tasks cannot sleep here, wants to be told of the close. It says so, then looks whether
// the channel is closed; who closes does that, then looks at asked_. All four are sequentially consistent, so one of them
// sees the other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class ChannelRoom {
 public:
  // 0: without limit.
  explicit ChannelRoom(std::size_t max_size) noexcept
      : bounded_(max_size != 0), room_(static_cast<uint32_t>(std::min<std::size_t>(max_size, kClosed - 1))) {}
  ChannelRoom(const ChannelRoom&) = delete;
  ChannelRoom& operator=(const ChannelRoom&) = delete;

  enum class Taken { kTaken, kFull, kClosed };

  // Any thread.
  Taken try_take() noexcept {
    uint32_t room = room_.load(std::memory_order_seq_cst);  // pairs with give_back() and close(); see the top of this file
    for (;;) {
      if ((room & kClosed) != 0) return Taken::kClosed;
      if (!bounded_) return Taken::kTaken;
      if (room == 0) return Taken::kFull;
      // relaxed: it is a number. What is put travels through the queue.
      if (room_.compare_exchange_weak(room, room - 1, std::memory_order_relaxed, std::memory_order_relaxed)) return Taken::kTaken;
    }
  }

  // Any thread but the loop's: sleeps while full. Never kFull.
  Taken take() noexcept {
    Taken taken = try_take();
    if (taken != Taken::kFull) return taken;
    [[maybe_unused]] const typename Threads::Parked parked;
    sleepers_.fetch_add(1, std::memory_order_seq_cst);  // pairs with the loads in give_back() and close()
    while ((taken = try_take()) == Taken::kFull) {
      sleeps_.fetch_add(1, std::memory_order_relaxed);
      Threads::wait(room_, 0);
    }
    sleepers_.fetch_sub(1, std::memory_order_relaxed);  // too many only cost a wake-up for nobody
    return taken;
  }

  // The loop.
  void give_back() noexcept {
    if (!bounded_) return;
    room_.fetch_add(1, std::memory_order_seq_cst);                                // pairs with try_take()
    if (sleepers_.load(std::memory_order_seq_cst) != 0) Threads::wake(room_, 1);  // pairs with take()
  }

  // Any thread; wakes all. True, once: the loop has asked to be told.
  bool close() noexcept {
    const uint32_t before = room_.fetch_or(kClosed, std::memory_order_seq_cst);              // pairs with try_take(), ask()
    if (sleepers_.load(std::memory_order_seq_cst) != 0) Threads::wake(room_, kWakeAll);      // pairs with take()
    return (before & kClosed) == 0 && asked_.load(std::memory_order_seq_cst);                // pairs with ask()
  }

  // The loop asks to be told of the close. False: it is closed already.
  bool ask() noexcept {
    asked_.store(true, std::memory_order_seq_cst);                        // pairs with close()
    return (room_.load(std::memory_order_seq_cst) & kClosed) == 0;        // pairs with close()
  }

  uint64_t sleeps() const noexcept { return sleeps_.load(std::memory_order_relaxed); }  // a statistic

 private:
  static constexpr uint32_t kClosed = 1U << 31;

  const bool bounded_;
  typename Threads::template Atomic<uint32_t> room_;
  typename Threads::template Atomic<uint32_t> sleepers_{0};
  typename Threads::template Atomic<bool> asked_{false};
  std::atomic<uint64_t> sleeps_{0};
};

}  // namespace weir::internal
