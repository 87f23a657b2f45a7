// The timers of a loop: an intrusive hierarchical wheel with exact order.
//
//   struct Alarm final : internal::Timer { void fire() noexcept override { ... } };
//   timers.arm(alarm, now_ns + 1'000'000);      // CLOCK_MONOTONIC nanoseconds
//   timers.fire(now_ns, 256);                   // each turn
//
// Threads: the loop's own only. Cancelling: cancel(), or arm() again with another deadline.
// Cost: a timer is 48 bytes in whatever holds it, and nothing is allocated. Measured with 1,000,000 timers over 10 s
// (clang 19 -O2): 12 ns to arm, 7 ns to cancel, 35 ns to fire one, moves down the levels included; at random deadlines,
// where every move misses the cache, 19 ns to cancel and 190 ns to fire. A million of them within 10 ms: 220 ns to fire,
// as a tick is short enough that few meet in the heap; longer ticks save moves, but cost more there.
//
// How it works. Time is cut into ticks of 2^10 ns. `position_` is the tick up to which everything has left the wheel.
// A timer whose tick differs from the position first in digit L (base 64, from the top) waits in slot "its digit" of
// level L; so the slots of a level are all later than those of the level below, and the lowest occupied slot of the
// lowest occupied level holds the earliest. Moving the position to a slot's start moves the slot's timers to lower
// levels, and those of the position's own tick into a pairing heap, which orders them to the nanosecond and then by
// when they were armed. Sources: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 7;
// Fredman, Sedgewick, Sleator and Tarjan, "The Pairing Heap" (1986).
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace weir::internal {

inline constexpr int64_t kNoDeadline = INT64_MAX;

// A node of Timers, a base of whatever waits for a deadline. It neither moves nor dies while it is armed.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return place_ != kIdle; }

  // Of the last arm().
  int64_t deadline() const { return deadline_; }

  // The deadline has passed. The timer is not armed any more and may be destroyed, or armed again; so may any other.
  virtual void fire() noexcept = 0;

 protected:
  virtual ~Timer() { assert(!armed()); }

 private:
  friend class Timers;

  static constexpr unsigned kIdle = 1023;
  static constexpr unsigned kInHeap = 1022;
  static constexpr unsigned kUnsettled = 1021;

  bool before(const Timer& other) const {
    return deadline_ != other.deadline_ ? deadline_ < other.deadline_ : order_ < other.order_;
  }

  Timer* prev_ = nullptr;   // in a slot, or unsettled, a ring; in the heap, the left sibling, or the parent of a first child
  Timer* next_ = nullptr;   // in a slot, or unsettled, a ring; in the heap, the right sibling
  Timer* child_ = nullptr;  // in the heap, the first child; in a slot, only an address to prefetch
  int64_t deadline_ = 0;    // while unsettled, the delay
  uint64_t order_ : 54 = 0;      // how many were armed before it: a century at five million a second
  uint64_t place_ : 10 = kIdle;  // the slot, or one of the above
};

class Timers {
 public:
  // `now_ns` only saves work: timers are placed relative to the last time that the wheel was told.
  explicit Timers(int64_t now_ns = 0) { advance(now_ns); }
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // All must have been cancelled.
  ~Timers() { assert(size_ == 0); }

  // Arms it, or moves it to another deadline. A deadline in the past fires at the next fire(), kNoDeadline never.
  void arm(Timer& timer, int64_t deadline_ns);

  // Arms it `delay_ns` >= 0 after the point of time that the next settle() tells. One that is cancelled before costs
  // neither a look at the clock nor a way through the wheel.
  void arm_unsettled(Timer& timer, int64_t delay_ns);
  bool unsettled() const { return unsettled_ != nullptr; }
  // Before fire() and next_deadline().
  void settle(int64_t now_ns);

  // Nothing happens when it is not armed.
  void cancel(Timer& timer) {
    if (timer.armed()) take_out(timer);
  }

  size_t size() const { return size_; }

  // When fire() must be called next: never later than the earliest deadline, and that deadline itself unless a timer
  // has been cancelled in front of it. kNoDeadline when there is none.
  int64_t next_deadline() const { return size_ == 0 ? kNoDeadline : first_deadline(); }

  // Fires timers with a deadline <= now_ns, in the order of their deadlines, equal ones as they were armed; also those
  // that are armed meanwhile. At most `budget`; nor does a call move more than kMovesMax timers to lower levels, so
  // that none takes long. next_deadline() tells that more are due. Returns how many were fired.
  size_t fire(int64_t now_ns, size_t budget);

  // Tells the time to an empty wheel: saves the next timers a way through upper levels. Optional, and cheap.
  void advance(int64_t now_ns) {
    if (size_ == 0 && tick(now_ns) > position_) position_ = tick(now_ns);
  }

 private:
  static constexpr int kTickBits = 10;
  static constexpr int kDigitBits = 6;
  static constexpr int kSlots = 1 << kDigitBits;
  static constexpr int kLevels = 9;  // 10 + 9 * 6 = 64 bits: every int64_t
  static constexpr int kNoSlot = -1;
  static constexpr size_t kMovesMax = 4096;
  static constexpr uint32_t kPrefetch = 4;

  struct Slot {
    Timer* head = nullptr;           // a ring in the order of arrival
    int64_t earliest = kNoDeadline;  // no deadline in the slot is earlier
    // The last to arrive. A list cannot be prefetched beyond its next node, so each timer notes who came kPrefetch
    // before it; moving a million timers, scattered in memory, takes half as long.
    std::array<Timer*, kPrefetch> recent{};
    uint32_t arrivals = 0;
  };

  static int64_t tick(int64_t ns) { return ns >> kTickBits; }

  int64_t first_deadline() const;
  void take_out(Timer& timer);
  void place(Timer& timer);
  void unlink(Timer& timer);
  static void into_ring(Timer*& head, Timer& timer);
  static void out_of_ring(Timer*& head, Timer& timer);
  int first_slot() const;
  int64_t start(int slot) const;
  bool drain(size_t& moves);

  void push(Timer& timer);
  void remove(Timer& timer);
  static Timer* meld(Timer* a, Timer* b);
  static Timer* meld_children(Timer* first);

  int64_t position_ = 0;
  int draining_ = kNoSlot;  // the slot that the position stands at, until it is empty
  size_t size_ = 0;
  uint64_t armed_total_ = 0;
  Timer* unsettled_ = nullptr;  // a ring in the order of arrival
  Timer* heap_ = nullptr;  // all with a tick <= position_ are here, or in the slot that is being drained
  std::array<uint64_t, kLevels> occupied_{};
  std::array<Slot, kLevels * kSlots> slots_{};
};

}  // namespace weir::internal
