// The queue behind a channel: any number of threads put, one loop takes, and neither ever waits for a lock.
//
//   ChannelQueue<Row> queue(1024, reader);           // the reader: class Reader : ChannelReader { void notify() noexcept; }
//   // any thread                                     // the loop
//   switch (queue.put(row)) { … }                     if (Row* row = queue.front(ended)) {
//                                                       use(*row);
//                                                       queue.pop();
//                                                       queue.tell();
//                                                     } else if (!ended && queue.wait()) suspend();
//
// Items have positions 0, 1, 2, …: position p lies in slot p % size of a ring. A sender claims the next position by a
// compare-exchange of `word_`, makes its item in the slot, and publishes it by the slot's mark, which becomes p + 1. The
// loop takes one position after the other: a slot that is claimed but not published yet counts as nothing there.
//
// Rings come in generations, each twice as large as the one before. Who finds the ring full below the limit adds the next
// one and moves all senders there, by an exchange of the same word: so each position belongs to one generation. Nobody
// touches a ring but who claimed a position in it, until it is published: the loop deletes a ring when it finds the first
// item in a later one.
//
// `word_`: the next position to claim, the generation where it lies, and two flags:
//   kClosed   nothing enters any more; what is there is still delivered
//   kWaits    the loop has taken every claimed position, and wants one notice
// `stalled_`: the mark that the loop wants a notice for, because its position is claimed and not published; 0: none.
//
// Why nothing is lost
//   Claims, closes and kWaits are compare-exchanges of one word and have one order. A claim fails once kClosed is set, and
//   the loop sees the end only when it has taken all positions of a word that has it.
// Why no wake-up is lost
//   Empty. The loop sets kWaits only in a word that is not closed and whose positions it has taken. The claim or close
//   that follows clears it and owes one notice, the claim after it has published: the loop finds an item, or the end.
//   Stalled. The loop writes `stalled_`, then reads the mark; the sender writes the mark, then reads `stalled_`. The
//   loop's heavy_fence() between its two, or where the kernel has none, sequential consistency of all four, lets one of
//   them see the other. Who clears `stalled_` decides: the sender, who thereby owes the notice, or the loop.
//   A wait that is taken back: who clears the flag decides.
// Why no slot is used twice: a sender claims p only when it, or another one, has seen that the loop has taken p - size
// (`head_`, and `bound_`, which the senders hand on).
//
// Cost: a put is one compare-exchange and no allocation, but where the ring grows; taking is no atomic exchange at all.
// Memory: one ring, of at most twice the items that ever waited at the same time. T's moves do not throw.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "weir/bridge/system_threads.h"

namespace weir::internal {

// Who waits for items of a ChannelQueue.
class ChannelReader {
 public:
  // An item or the end has come. On the thread that brought it; once for each wait() that returned true, unless withdrawn.
  virtual void notify() noexcept = 0;

 protected:
  ~ChannelReader() = default;
};

template <class T, class Threads = SystemThreads, unsigned kGenerations = 40>
class ChannelQueue {
  static_assert(std::is_nothrow_move_constructible_v<T>, "who has claimed a position must be able to fill it");

 public:
  enum class Put : uint8_t { kPut, kFull, kClosed };

  // max_size 0: without limit. The first ring has `first_size` slots, a power of two, or as many as the limit needs.
  ChannelQueue(std::size_t max_size, ChannelReader& reader, std::size_t first_size = kFirstSize)
      : limit_(max_size == 0 ? kPositionsMax : std::min<uint64_t>(max_size, kPositionsMax)),
        first_size_(std::min<uint64_t>(first_size, std::bit_ceil(limit_))),
        light_(Threads::has_heavy_fence()),
        reader_(reader),
        ring_(new Slot[first_size_]) {
    rings_[0].store(ring_, std::memory_order_relaxed);  // nobody else knows of the queue
  }
  ChannelQueue(const ChannelQueue&) = delete;
  ChannelQueue& operator=(const ChannelQueue&) = delete;
  // Nobody uses it any more.
  ~ChannelQueue() {
    bool ended = false;
    while (front(ended) != nullptr) pop();
    for (unsigned i = generation_; i < kGenerations; ++i) delete[] rings_[i].load(std::memory_order_acquire);
  }

  // --- any thread

  // kFull, kClosed: `item` is untouched, as when the allocation of a ring throws.
  Put put(T& item) {
    uint64_t word = word_.load(std::memory_order_relaxed);  // a guess; the exchange checks it
    // Pairs with put_slowly(): what one of the senders has seen of the loop.
    if ((word & kClosed) != 0 || !is_before(position_of(word), bound_.load(std::memory_order_acquire)) || !claim(word)) {
      return put_slowly(item, false);
    }
    fill(word, item);
    return Put::kPut;
  }

  // True: this call has closed it.
  bool close() noexcept {
    uint64_t word = word_.load(std::memory_order_relaxed);
    do {
      if ((word & kClosed) != 0) return false;
      // Pairs with wait(), whose caller has written what notify() uses; with closed(), see channel_room.h.
    } while (!word_.compare_exchange_weak(word, (word | kClosed) & ~kWaits, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    if ((word & kWaits) != 0) reader_.notify();
    return true;
  }
  bool closed() const noexcept { return (word_.load(std::memory_order_seq_cst) & kClosed) != 0; }  // pairs with close()

  uint64_t put_count() const noexcept { return position_of(word_.load(std::memory_order_relaxed)); }  // statistics
  uint64_t got_count() const noexcept { return head_.load(std::memory_order_relaxed); }

  // --- the loop

  // The oldest item, in its slot until pop(). Null: nothing is there; `ended`: nothing will come.
  T* front(bool& ended) noexcept {
    ended = false;
    for (;;) {
      Slot& slot = ring_[taken_ & mask_];
      const uint64_t mark = slot.mark.load(std::memory_order_acquire);  // pairs with fill(): the item is there
      if (mark == taken_ + 1) return std::addressof(slot.item);
      if (!look_further(ended)) return nullptr;
    }
  }

  // Destroys the front. Its room stays the loop's until tell().
  void pop() noexcept {
    std::destroy_at(std::addressof(ring_[taken_ & mask_].item));
    ++taken_;
  }
  // Instead of tell(): the room goes to this item. Never kFull.
  Put put_in_exchange(T& item) { return put_slowly(item, true); }

  // Tells the senders what has been taken.
  void tell() noexcept { head_.store(taken_, std::memory_order_release); }  // pairs with put_slowly(): the slots are free
  // The same, before a look at who sleeps.
  void tell_sleepers() noexcept {
    head_.store(taken_, std::memory_order_seq_cst);  // pairs with put_slowly(); see channel_room.h
  }

  uint64_t taken() const noexcept { return taken_; }
  uint64_t limit() const noexcept { return limit_; }
  bool bounded() const noexcept { return limit_ != kPositionsMax; }
  // How many more fit. Senders may have taken some of it meanwhile.
  uint64_t room() const noexcept {
    return limit_ - (position_of(word_.load(std::memory_order_relaxed)) - taken_);  // a number
  }

  // Asks for one notice. False: an item or the end is there.
  bool wait() noexcept {
    uint64_t word = word_.load(std::memory_order_acquire);  // pairs with grow()
    while (position_of(word) == taken_) {
      if ((word & kClosed) != 0) return false;
      // release: pairs with claim() and close(), for what notify() uses. acquire: pairs with grow().
      if (word_.compare_exchange_weak(word, word | kWaits, std::memory_order_release, std::memory_order_acquire)) {
        stalling_ = false;
        return true;
      }
    }
    for (int i = 0; i < Threads::kSpins / 4; ++i) {  // most claims are published at once
      if (find(generation_of(word))) return false;
      Threads::pause();
    }
    stalling_ = true;
    stalled_.store(taken_ + 1, std::memory_order_seq_cst);  // pairs with fill()
    if (light_) Threads::heavy_fence();                     // pairs with light_fence() in fill()
    return !find(generation_of(word)) || !cancel_wait();
  }

  // Takes wait() back. False: the notice was given, or is about to be.
  bool cancel_wait() noexcept {
    if (std::exchange(stalling_, false)) {
      uint64_t mark = taken_ + 1;
      // Pairs with fill(): who clears it decides.
      return stalled_.compare_exchange_strong(mark, 0, std::memory_order_relaxed, std::memory_order_relaxed);
    }
    // Pairs with claim() and close(): who clears it decides.
    return (word_.fetch_and(~kWaits, std::memory_order_relaxed) & kWaits) != 0;
  }

 private:
  struct Slot {
    Slot() noexcept {}   // no item yet
    ~Slot() {}           // no item any more
    typename Threads::template Atomic<uint64_t> mark{0};  // p + 1 when the item of position p is there
    union {
      T item;
    };
  };

  static constexpr uint64_t kClosed = 1;
  static constexpr uint64_t kWaits = 2;
  static constexpr unsigned kGenerationShift = 2;
  static constexpr unsigned kPositionShift = 8;  // 56 bits: twenty years of an item each 10 ns
  static constexpr uint64_t kPositionsMax = uint64_t{1} << 55;
  static constexpr std::size_t kFirstSize = std::bit_floor(std::clamp<std::size_t>(4096 / sizeof(T), 1, 64));
  static_assert(kGenerations <= 1U << (kPositionShift - kGenerationShift));

  static uint64_t position_of(uint64_t word) noexcept { return word >> kPositionShift; }
  static unsigned generation_of(uint64_t word) noexcept {
    return static_cast<unsigned>(word >> kGenerationShift) & ((1U << (kPositionShift - kGenerationShift)) - 1);
  }
  uint64_t size_of(unsigned generation) const noexcept { return first_size_ << generation; }

  // A word that has grown old has a position before those that it is compared with; the exchange will notice.
  static bool is_before(uint64_t position, uint64_t bound) noexcept { return static_cast<int64_t>(position - bound) < 0; }

  // `in_exchange`: the loop, which knows of room that the senders do not know of.
  [[gnu::noinline]] Put put_slowly(T& item, bool in_exchange) {
    uint64_t word = word_.load(std::memory_order_seq_cst);  // pairs with close(); see channel_room.h
    for (;;) {
      if ((word & kClosed) != 0) return Put::kClosed;
      const uint64_t position = position_of(word);
      if (in_exchange || !is_before(position, bound_.load(std::memory_order_acquire))) {  // as in put()
        const uint64_t size = size_of(generation_of(word));
        // Pairs with tell() and tell_sleepers(): the slots are free, and who sleeps is seen.
        const uint64_t head = in_exchange ? taken_ : head_.load(std::memory_order_seq_cst);
        if (!is_before(position, head + limit_)) return Put::kFull;
        if (!is_before(position, head + size)) {
          word = grow(word);
          continue;
        }
        // release: pairs with the loads of bound_, the slots are free. It may go back, which costs a look.
        if (!in_exchange) bound_.store(head + std::min(size, limit_), std::memory_order_release);
      }
      if (claim(word)) break;
    }
    fill(word, item);
    return Put::kPut;
  }

  // The position of `word`; false: the word has changed, and is read again.
  bool claim(uint64_t& word) noexcept {
    // acquire: pairs with wait(), for what notify() uses, and with grow(). What is put is published by fill().
    return word_.compare_exchange_weak(word, (word + (uint64_t{1} << kPositionShift)) & ~kWaits, std::memory_order_acquire,
                                       std::memory_order_relaxed);
  }

  // Who claimed the position of `word`. Afterwards the slot is the loop's, and its ring may be gone.
  void fill(uint64_t word, T& item) noexcept {
    const unsigned generation = generation_of(word);
    Slot* const ring = rings_[generation].load(std::memory_order_relaxed);  // came with the word
    Slot& slot = ring[position_of(word) & (size_of(generation) - 1)];
    const uint64_t mark = position_of(word) + 1;
    std::construct_at(std::addressof(slot.item), std::move(item));
    uint64_t stalled;
    if (light_) {
      slot.mark.store(mark, std::memory_order_release);  // pairs with front() and find(): the item is there
      Threads::light_fence();                            // pairs with heavy_fence() in wait()
      stalled = stalled_.load(std::memory_order_relaxed);
    } else {
      slot.mark.store(mark, std::memory_order_seq_cst);    // pairs with front() and find()
      stalled = stalled_.load(std::memory_order_seq_cst);  // pairs with wait()
    }
    if (stalled == mark || (word & kWaits) != 0) [[unlikely]] give_notice(word, mark);
  }
  [[gnu::noinline]] void give_notice(uint64_t word, uint64_t mark) noexcept {
    // acquire: pairs with wait(), for what notify() uses. Who clears it decides.
    if ((word & kWaits) != 0 ||
        stalled_.compare_exchange_strong(mark, 0, std::memory_order_acquire, std::memory_order_relaxed)) {
      reader_.notify();
    }
  }

  // Moves all senders to the next ring, unless `word` has changed. Gives the word as it is then.
  uint64_t grow(uint64_t word) {
    const unsigned next = generation_of(word) + 1;
    if (next == kGenerations) throw std::bad_alloc();
    if (rings_[next].load(std::memory_order_acquire) == nullptr) {  // pairs with the exchange below: the ring is there
      auto ring = std::make_unique<Slot[]>(size_of(next));
      Slot* none = nullptr;
      // Pairs with itself and the load above, and through word_ with everybody else. Another may have been first.
      if (rings_[next].compare_exchange_strong(none, ring.get(), std::memory_order_release, std::memory_order_acquire)) {
        (void)ring.release();
      }
    }
    const uint64_t grown = word + (uint64_t{1} << kGenerationShift);
    // release: pairs with claim(), look_further() and wait(): the ring is there. A refused exchange reads the word.
    if (word_.compare_exchange_strong(word, grown, std::memory_order_release, std::memory_order_relaxed)) return grown;
    return word;
  }

  // The loop, which finds nothing in its ring. True: it is there now, or in a later ring.
  bool look_further(bool& ended) noexcept {
    const uint64_t word = word_.load(std::memory_order_acquire);  // pairs with grow()
    ended = position_of(word) == taken_ && (word & kClosed) != 0;
    return position_of(word) != taken_ && find(generation_of(word));
  }
  // The loop: whether its position is published, in which ring ever. Those before are deleted: all that was claimed
  // there has been taken.
  bool find(unsigned newest) noexcept {
    for (unsigned at = generation_; at <= newest; ++at) {
      Slot* const ring = rings_[at].load(std::memory_order_relaxed);  // came with the word
      const uint64_t mask = size_of(at) - 1;
      // Pairs with fill(): the item is there, or `stalled_` is seen.
      if (ring[taken_ & mask].mark.load(std::memory_order_seq_cst) != taken_ + 1) continue;
      while (generation_ != at) delete[] rings_[generation_++].load(std::memory_order_relaxed);  // as above
      ring_ = ring;
      mask_ = mask;
      return true;
    }
    return false;
  }

  const uint64_t limit_;
  const uint64_t first_size_;
  const bool light_;
  ChannelReader& reader_;
  std::array<typename Threads::template Atomic<Slot*>, kGenerations> rings_{};
  typename Threads::template Atomic<uint64_t> stalled_{0};

  alignas(64) typename Threads::template Atomic<uint64_t> word_{0};  // the senders'
  typename Threads::template Atomic<uint64_t> bound_{std::min(limit_, first_size_)};  // positions before it may be claimed

  alignas(64) typename Threads::template Atomic<uint64_t> head_{0};  // what the loop has taken, for the senders
  uint64_t taken_ = 0;                                               // the loop's position
  Slot* ring_;                                                       // the loop's ring
  uint64_t mask_ = first_size_ - 1;
  unsigned generation_ = 0;
  bool stalling_ = false;                                            // the last wait() was for stalled_
};

}  // namespace weir::internal
