// Where a channel's senders sleep while it is full, and how the loop and who closes wake them.
//
// Full. A sender counts itself in `sleepers_`, reads `turn_`, looks at the queue once more, and sleeps while `turn_` stands.
// The loop says what it has taken, then looks at `sleepers_`; who closes does the same. These four are sequentially
// consistent: either the sender sees the room, or the close, or they see the sleeper. They move `turn_` on before they
// wake: a sender that has read the old turn is in the futex, or will not sleep; one that reads the new one sees the room.
//
// In a small channel (channel_ends.h) the loop looks after each item, and wakes for each place. In others it looks once a
// quarter of the limit has been taken since it last did, and wakes if half of the limit is free; and it looks before it
// sleeps, or waits for an item, and wakes if there is any room. So senders stay asleep only while the loop runs, or the
// channel is really full. It wakes as many as there is room for, the longest sleeper first. Of who sleeps on, because
// another took the room that was offered, nobody is left behind: that room comes back with the other's item, and the loop
// looks again.
//
// `asked_`: the loop, whose tasks cannot sleep here, wants to be told of the close. It says so, then looks whether the
// channel is closed; who closes does that, then looks at `asked_`. All four are sequentially consistent, so one of them
// sees the other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "weir/bridge/futex.h"
#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class ChannelRoom {
 public:
  ChannelRoom() = default;
  ChannelRoom(const ChannelRoom&) = delete;
  ChannelRoom& operator=(const ChannelRoom&) = delete;

  // Any thread but the loop's: tries, and sleeps while `try_put` gives `full`.
  template <class TryPut, class Put>
  Put put(TryPut try_put, Put full) {
    [[maybe_unused]] const typename Threads::Parked parked;
    const Sleeper sleeper(*this);
    for (;;) {
      const uint32_t turn = turn_.load(std::memory_order_acquire);  // pairs with wake(): then the room is seen
      const Put put = try_put();
      if (put != full) return put;
      sleeps_.fetch_add(1, std::memory_order_relaxed);
      Threads::wait(turn_, turn);
    }
  }

  // The loop, after it has told what it took; who closes, after that.
  bool has_sleepers() const noexcept { return sleepers_.load(std::memory_order_seq_cst) != 0; }  // pairs with Sleeper
  void wake(uint64_t count) noexcept {
    turn_.fetch_add(1, std::memory_order_release);  // pairs with put()
    Threads::wake(turn_, static_cast<int>(std::min<uint64_t>(count, kWakeAll)));
  }

  // The loop asks to be told of the close, then looks whether there was one.
  void ask() noexcept { asked_.store(true, std::memory_order_seq_cst); }               // pairs with asked()
  // Who has closed.
  bool asked() const noexcept { return asked_.load(std::memory_order_seq_cst); }       // pairs with ask()

  uint64_t sleeps() const noexcept { return sleeps_.load(std::memory_order_relaxed); }  // a statistic

 private:
  // Counts the sender that may sleep.
  class Sleeper {
   public:
    explicit Sleeper(ChannelRoom& room) noexcept : room_(room) {
      room_.sleepers_.fetch_add(1, std::memory_order_seq_cst);  // pairs with has_sleepers()
    }
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    ~Sleeper() { room_.sleepers_.fetch_sub(1, std::memory_order_relaxed); }  // one too many only costs a call for nobody

   private:
    ChannelRoom& room_;
  };

  typename Threads::template Atomic<uint32_t> sleepers_{0};
  typename Threads::template Atomic<uint32_t> turn_{0};
  typename Threads::template Atomic<bool> asked_{false};
  std::atomic<uint64_t> sleeps_{0};
};

}  // namespace weir::internal
