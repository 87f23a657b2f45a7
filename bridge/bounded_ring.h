// The queue between one producing thread and one reader that must never block: a loop.
//
//   BoundedRing<Row> ring(16, reader);               // the reader: class Reader : RingReader { void notify() noexcept; }
//   // the producing thread                          // the reader
//   while (ring.put(next_row())) {}                  std::optional<Row> row;
//   ring.finish();                                   switch (ring.get(row)) {
//                                                      case RingGet::kEmpty: if (ring.wait()) suspend(); ...
//
// At most `max_size` items are queued (0: no limit); put() sleeps on a futex while the queue is full. Items come out in
// their order, and the end, or the exception that ended the producer, after the last of them. close(), on any thread,
// says that nobody wants more: it wakes the producer at once, and put() returns false from then on.
//
// The producer waits for room. It is woken when half of the limit is free, and when the loop is about to sleep and calls
// wake_producer_if_room(). The reader publishes what it took once a quarter of the limit is free ("credits"), and before
// it waits or sleeps.
// The reader waits for an item or the end. wait() says so; the producer then calls RingReader::notify() once.
// notify() runs on the producing thread and only hands a node to the loop; nothing is called while nobody waits. It may
// come although nothing is there: a producer that has put an item and seen the reader wait may be overtaken by a reader
// who withdraws, takes that item and waits again, and then answers the second wait. So a notified reader that finds
// nothing waits again.
//
// Lifetime: the ring outlives both sides, and whoever calls close(); what is still queued is destroyed with it.
// Cost: an item is a move in and a move out, two plain stores and no system call while both sides run. Memory:
// ring_blocks.h. T's move constructor may throw: put() then throws with nothing queued, get() with the item still queued.
//
// The word `state_`
//   kReaderWaits     set by the reader in wait(). Cleared by the producer, who thereby owes one notify(), or by the
//                    reader, who withdraws: who clears it decides, so each wait() is answered exactly once.
//   kProducerSleeps  set by the producer before it sleeps on this word. Cleared by the reader, who then wakes it, or by
//                    the producer itself when it finds room or the ring closed after all.
//   kClosed          set once, by close(). No more items are wanted.
//   kFinished        set once, by finish(). No more items come.
//   kProducerLight   set by the producer when it has put kLightAfter items without a waiting reader; cleared together with
//                    kReaderWaits. From then on it publishes by a plain store, and wait() pays for the fence.
//
// Why no wake-up is lost
//   Full. The producer sets kProducerSleeps, then reads head_; the reader writes head_, then reads state_. All four are
//   sequentially consistent, so one of them sees the other: either the producer sees the room and does not sleep, or the
//   reader sees that it sleeps. The reader wakes it at half, and at the latest before the loop sleeps: so it stays asleep
//   only while the reader runs, or the queue is really full, and a reader that has items does not wait.
//   Empty. The reader sets kReaderWaits, then reads tail_; the producer writes tail_, then reads state_. Not light, all
//   four are sequentially consistent: the same argument. Light, the producer's two may be seen in either order; but it
//   became light by a read-modify-write of state_, and the reader's own, that sets kReaderWaits, comes either before it
//   (then the load with the next item sees the flag, and the items until then were not light) or after it (then the reader
//   sees kProducerLight, and its heavy_fence() puts a full fence into the producer: between the store and the load of an
//   item it does no harm, as the reader sees the item; before the store, the load sees the flag).
//   End. finish() and wait() both are read-modify-writes of state_: the later one sees the earlier.
//   Close. The same: close() sees kProducerSleeps, or the producer sees kClosed when it sets it. Between that and its
//   falling asleep the word has changed, so the futex does not sleep.
//   The last item. get() reads state_ before tail_: an end that it has seen came after every item, so a tail_ read later
//   counts them all.
#pragma once

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/bridge/ring_blocks.h"
#include "weir/bridge/system_threads.h"

namespace weir::internal {

// Who waits for items of a BoundedRing.
class RingReader {
 public:
  // An item or the end was put. On the producing thread, once for each wait() that returned true, unless withdrawn. The
  // item may have been taken already.
  virtual void notify() noexcept = 0;

 protected:
  ~RingReader() = default;
};

enum class RingGet { kItem, kEmpty, kEnd };

// Any thread may read them; exact on the threads that count them.
struct RingCounters {
  uint64_t put = 0;
  uint64_t got = 0;
  uint64_t producer_sleeps = 0;
  uint64_t producer_wakeups = 0;  // futex wakes for a sleeping producer
  uint64_t reader_wakeups = 0;    // calls of notify()
};

struct BoundedRingOptions {
  size_t max_size = 0;         // 0: no limit
  size_t items_per_block = 0;  // 0: the ring chooses
  uint32_t light_after = 128;  // items in a row after which the producer runs light
};

template <class T, class Threads = SystemThreads>
class BoundedRing {
 public:
  BoundedRing(const BoundedRingOptions& options, RingReader& reader)
      : limit_(options.max_size == 0 ? std::numeric_limits<uint64_t>::max() : options.max_size),
        credit_(limit_ < 4 ? 1 : limit_ / 4),
        light_after_(Threads::has_heavy_fence() ? options.light_after : std::numeric_limits<uint32_t>::max()),
        reader_(reader),
        blocks_(options.items_per_block != 0 ? options.items_per_block : Blocks::kItemsPerBlock,
                options.max_size == 0 ? kUnboundedSpares : std::numeric_limits<size_t>::max()) {}
  BoundedRing(const BoundedRing&) = delete;
  BoundedRing& operator=(const BoundedRing&) = delete;
  ~BoundedRing() {
    for (uint64_t left = tail_.load(std::memory_order_acquire) - taken_; left > 0; --left) {  // both sides have gone
      blocks_.front();
      blocks_.pop();
    }
  }

  // ---- The producing thread ----

  // Sleeps while the queue is full. False: closed, and `item` is untouched, or was queued for nobody.
  bool put(T&& item) {
    if (closed()) return false;
    if (put_ - head_seen_ >= limit_ && !wait_for_room()) [[unlikely]] return false;
    blocks_.put(std::move(item));
    publish_item();
    return true;
  }

  // False: full or closed, and `item` is untouched.
  bool try_put(T& item) {
    if (closed()) return false;
    if (put_ - head_seen_ >= limit_) {
      head_seen_ = head_.load(std::memory_order_relaxed);  // a number; the slots themselves come back by ring_blocks.h
      if (put_ - head_seen_ >= limit_) return false;
    }
    blocks_.put(std::move(item));
    publish_item();
    return true;
  }

  // No more items come: the end, or what the producer threw. Once; nothing is put afterwards.
  void finish(std::exception_ptr error = nullptr) {
    error_ = std::move(error);
    // Pairs with the load in get(), which then sees the last tail_ and error_, and with wait()'s read-modify-write.
    const uint32_t before = state_.fetch_or(kFinished, std::memory_order_release);
    assert((before & kFinished) == 0);
    if ((before & kReaderWaits) != 0) notify_reader();
  }

  // ---- Any thread ----

  // Nobody wants more. Idempotent; wakes a sleeping producer at once.
  void close() {
    // Pairs with the producer's read-modify-write in wait_for_room(). Nothing is published by it.
    const uint32_t before = state_.fetch_or(kClosed, std::memory_order_relaxed);
    if ((before & kClosed) == 0 && (before & kProducerSleeps) != 0) Threads::wake(state_, 1);
  }
  bool closed() const {
    return (state_.load(std::memory_order_relaxed) & kClosed) != 0;  // only a hint to stop: nothing is read through it
  }

  RingCounters counters() const {
    RingCounters counters;
    counters.put = tail_.load(std::memory_order_relaxed);  // five numbers that order nothing
    counters.got = got_count_.load(std::memory_order_relaxed);
    counters.producer_sleeps = producer_sleeps_.load(std::memory_order_relaxed);
    counters.producer_wakeups = producer_wakeups_.load(std::memory_order_relaxed);
    counters.reader_wakeups = reader_wakeups_.load(std::memory_order_relaxed);
    return counters;
  }

  // ---- The reader's thread ----

  // Takes the next item. kEnd: finished, and every item has been taken; see take_error().
  RingGet get(std::optional<T>& item) {
    if (taken_ == tail_seen_ && !look_for_items()) [[unlikely]] return ended_ ? RingGet::kEnd : RingGet::kEmpty;
    item.emplace(std::move(blocks_.front()));
    drop_front(1);
    return RingGet::kItem;
  }

  // Appends up to `count` of the items that are there; the number of them.
  size_t get_some(std::vector<T>& items, size_t count) {
    size_t got = 0;
    while (got < count && (taken_ != tail_seen_ || look_for_items())) {
      size_t run = 1;
      if constexpr (std::is_nothrow_move_constructible_v<T>) {  // else a throw would lose those of the run before it
        const size_t there = std::min<uint64_t>(count - got, tail_seen_ - taken_);
        T* const first = &blocks_.front();
        run = std::min({there, blocks_.in_a_row(), static_cast<size_t>(credit_)});
        items.insert(items.end(), std::make_move_iterator(first), std::make_move_iterator(first + run));
      } else {
        items.push_back(std::move(blocks_.front()));
      }
      drop_front(run);
      got += run;
    }
    return got;
  }

  // What finish() was given, once. After kEnd.
  std::exception_ptr take_error() { return std::exchange(error_, nullptr); }

  // True: nothing is there, and notify() will be called. False: an item or the end is there already.
  bool wait() {
    wake_producer_if_room();
    // Pairs with the producer's load of state_ in publish_item(), and its read-modify-writes; with notify_reader()'s, for
    // what notify() uses.
    const uint32_t before = state_.fetch_or(kReaderWaits, std::memory_order_seq_cst);
    assert((before & kReaderWaits) == 0);
    if ((before & kProducerLight) != 0) Threads::heavy_fence();  // pairs with light_fence() in publish_item()
    // Pairs with publish_item().
    if ((before & kFinished) == 0 && tail_.load(std::memory_order_seq_cst) == taken_) return true;
    return !cancel_wait();
  }

  // Takes wait() back. True: notify() will not be called. False: it was, or is about to be.
  bool cancel_wait() {
    // Pairs with notify_reader(): who clears the flag decides. Nothing is published by it.
    return (state_.fetch_and(~kReaderWaits, std::memory_order_relaxed) & kReaderWaits) != 0;
  }

  // For a loop that is about to sleep. True: the producer slept, there was room for an item, and it was woken.
  bool wake_producer_if_room() { return publish_taken(1); }

 private:
  using Blocks = RingBlocks<T, Threads>;
  template <class U>
  using Atomic = typename Threads::template Atomic<U>;

  static constexpr uint32_t kReaderWaits = 1;
  static constexpr uint32_t kProducerSleeps = 2;
  static constexpr uint32_t kClosed = 4;
  static constexpr uint32_t kFinished = 8;
  static constexpr uint32_t kProducerLight = 16;
  static constexpr size_t kUnboundedSpares = 4;

  // What is needed once in many items is kept out of line, so that put() and get() are small enough to be inlined.

  // ---- The producing thread ----

  void publish_item() {
    ++put_;
    uint32_t state;
    if (light_) {
      tail_.store(put_, std::memory_order_release);  // pairs with look_for_items(): the item is there
      Threads::light_fence();                        // pairs with heavy_fence() in wait()
      state = state_.load(std::memory_order_relaxed);
    } else {
      tail_.store(put_, std::memory_order_seq_cst);  // pairs with look_for_items() and wait()
      state = state_.load(std::memory_order_seq_cst);
    }
    if ((state & kReaderWaits) != 0) [[unlikely]] {
      notify_reader();
    } else if (!light_ && ++unawaited_ >= light_after_) {
      // Pairs with wait()'s read-modify-write: one of them is later. A flag that is set already is seen with the next
      // item, if there is one. Nothing is published by it.
      light_ = true;
      state_.fetch_or(kProducerLight, std::memory_order_relaxed);
    }
  }

  [[gnu::noinline]] void notify_reader() {
    light_ = false;
    unawaited_ = 0;
    // Pairs with cancel_wait(): who clears the flag decides. Acquire: pairs with wait(), what notify() uses is the
    // producer's now. Release: pairs with wait(), which sees no kProducerLight any more, and so makes no fence, but sees
    // what was put light until now. What is put afterwards is not light.
    const uint32_t before = state_.fetch_and(~(kReaderWaits | kProducerLight), std::memory_order_acq_rel);
    if ((before & kReaderWaits) == 0) return;
    add_one(reader_wakeups_);
    reader_.notify();
  }

  // False: closed.
  [[gnu::noinline]] bool wait_for_room() {
    for (;;) {
      head_seen_ = head_.load(std::memory_order_relaxed);  // as in try_put()
      if (put_ - head_seen_ < limit_) return true;
      // Pairs with publish_taken()'s load of state_, and with close().
      const uint32_t before = state_.fetch_or(kProducerSleeps, std::memory_order_seq_cst);
      head_seen_ = head_.load(std::memory_order_seq_cst);  // pairs with publish_taken()
      if ((before & kClosed) == 0 && put_ - head_seen_ >= limit_) sleep_while_full();
      // Nobody needs to wake a thread that runs. Whoever did so already cleared the flag.
      if ((state_.fetch_and(~kProducerSleeps, std::memory_order_relaxed) & kClosed) != 0) return false;
    }
  }

  void sleep_while_full() {
    [[maybe_unused]] typename Threads::Parked parked;
    add_one(producer_sleeps_);
    for (;;) {
      const uint32_t state = state_.load(std::memory_order_relaxed);  // a hint: the futex compares, the caller looks again
      if ((state & kProducerSleeps) == 0 || (state & kClosed) != 0) return;
      Threads::wait(state_, state);
    }
  }

  // ---- The reader's thread ----

  // False: nothing is there; ended_ says whether anything will come.
  [[gnu::noinline]] bool look_for_items() {
    // Before tail_: pairs with finish(), which comes after the last item.
    const bool finished = (state_.load(std::memory_order_acquire) & kFinished) != 0;
    tail_seen_ = tail_.load(std::memory_order_acquire);  // pairs with publish_item(): the items are there
    if (taken_ != tail_seen_) return true;
    ended_ = finished;
    wake_producer_if_room();  // a reader that polls, and never waits, must not starve it
    return false;
  }

  void drop_front(size_t count) {
    blocks_.pop(count);
    taken_ += count;
    set(got_count_, taken_);
    if (taken_ - published_ >= credit_) publish_taken(limit_ - limit_ / 2);
  }

  // Tells the producer what is free, and wakes it if it sleeps and at least `room` items fit. True: woken.
  [[gnu::noinline]] bool publish_taken(uint64_t room) {
    if (published_ != taken_) {
      published_ = taken_;
      head_.store(taken_, std::memory_order_seq_cst);  // pairs with the loads of head_: the slots are free
    }
    // Pairs with wait_for_room()'s read-modify-write.
    if ((state_.load(std::memory_order_seq_cst) & kProducerSleeps) == 0) return false;
    // It puts nothing while the flag is set: tail_ stands, as it was when the flag was seen.
    if (limit_ - (tail_.load(std::memory_order_relaxed) - taken_) < room) return false;
    // Pairs with the producer's own clearing of the flag: if that came first, it is awake. head_ says what is free.
    if ((state_.fetch_and(~kProducerSleeps, std::memory_order_relaxed) & kProducerSleeps) == 0) return false;
    add_one(producer_wakeups_);
    Threads::wake(state_, 1);
    return true;
  }

  // Counters have one writer each.
  static void set(std::atomic<uint64_t>& counter, uint64_t value) { counter.store(value, std::memory_order_relaxed); }
  static void add_one(std::atomic<uint64_t>& counter) { set(counter, counter.load(std::memory_order_relaxed) + 1); }

  const uint64_t limit_;
  const uint64_t credit_;       // what the reader may have taken without telling the producer
  const uint32_t light_after_;
  RingReader& reader_;
  Blocks blocks_;
  std::exception_ptr error_;    // written before kFinished is set, read after it was seen

  // Positions count items from the beginning; an item of position p is queued while head_ <= p < tail_.
  alignas(64) Atomic<uint64_t> tail_{0};  // written by the producer
  uint64_t put_ = 0;                      // the producer's tail_
  uint64_t head_seen_ = 0;                // the last head_ that the producer read
  uint32_t unawaited_ = 0;                // items in a row that found no waiting reader
  bool light_ = false;
  std::atomic<uint64_t> producer_sleeps_{0}, reader_wakeups_{0};

  alignas(64) Atomic<uint64_t> head_{0};  // written by the reader; may lag behind taken_ by less than credit_
  uint64_t taken_ = 0;                    // the reader's position
  uint64_t published_ = 0;                // the reader's head_
  uint64_t tail_seen_ = 0;                // the last tail_ that the reader read
  bool ended_ = false;
  std::atomic<uint64_t> got_count_{0}, producer_wakeups_{0};

  alignas(64) Atomic<uint32_t> state_{0};
};

}  // namespace weir::internal
