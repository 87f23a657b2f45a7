// Items from a thread, which sleeps on a futex while the ring of slots is full, to a thread that sleeps in io_uring while
// it is empty. Cached indices; from 64 slots on two tricks more: the side that goes to sleep pays for the fence
// (membarrier), and the reader tells what it has taken once a quarter of the slots is free.

#include <linux/membarrier.h>

#include <memory>
#include <thread>
#include <vector>

#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/raw/waking_ring.h"

namespace weir::bench::raw {
namespace {

constexpr size_t kAsymmetricFrom = 64;

void heavy_fence() { syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); }

template <bool kAsymmetric>
class Slots {
 public:
  Slots(size_t capacity, WakingRing& ring) : items_(capacity), credit_(kAsymmetric ? capacity / 4 : 1), ring_(ring) {
    if (kAsymmetric) syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
  }

  // The producer.
  void put(uint64_t item) {
    if (put_ - head_seen_ == items_.size()) wait_for_room();
    items_[next_put_] = item;
    if (++next_put_ == items_.size()) next_put_ = 0;
    publish(tail_, ++put_);
    if (reader_sleeps_.load(kLoad) && reader_sleeps_.exchange(false)) ring_.wake();
  }

  // The reader.
  uint64_t get() {
    if (got_ == tail_seen_) wait_for_items();
    const uint64_t item = items_[next_get_];
    if (++next_get_ == items_.size()) next_get_ = 0;
    ++got_;
    if (got_ - got_told_ >= credit_) tell(items_.size() - items_.size() / 2);
    return item;
  }
  uint64_t there() {
    if (got_ == tail_seen_) wait_for_items();
    return tail_seen_ - got_;
  }

 private:
  static constexpr std::memory_order kLoad = kAsymmetric ? std::memory_order_relaxed : std::memory_order_seq_cst;

  static void publish(std::atomic<uint64_t>& position, uint64_t value) {
    if constexpr (kAsymmetric) {
      position.store(value, std::memory_order_release);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      position.store(value, std::memory_order_seq_cst);
    }
  }

  void wait_for_room() {
    for (;;) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (put_ - head_seen_ < items_.size()) return;
      producer_sleeps_.store(1, std::memory_order_seq_cst);
      head_seen_ = head_.load(std::memory_order_seq_cst);
      while (put_ - head_seen_ == items_.size() && producer_sleeps_.load(std::memory_order_acquire) == 1) {
        futex_wait(producer_sleeps_, 1);
      }
      producer_sleeps_.store(0, std::memory_order_relaxed);
    }
  }

  // Tells how far it has read, and wakes the producer if `room` slots are free.
  void tell(uint64_t room) {
    got_told_ = got_;
    head_.store(got_, std::memory_order_seq_cst);
    if (producer_sleeps_.load(std::memory_order_seq_cst) == 0) return;
    if (items_.size() - (tail_.load(std::memory_order_acquire) - got_) < room) return;
    if (producer_sleeps_.exchange(0) == 1) futex_wake(producer_sleeps_);
  }

  void wait_for_items() {
    for (;;) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (got_ != tail_seen_) return;
      tell(1);
      reader_sleeps_.store(true, std::memory_order_seq_cst);
      if (kAsymmetric) heavy_fence();
      tail_seen_ = tail_.load(std::memory_order_seq_cst);
      // If the producer has seen the flag already, its wake-up comes, and is waited for.
      if (got_ == tail_seen_ || !reader_sleeps_.exchange(false)) ring_.sleep();
    }
  }

  std::vector<uint64_t> items_;
  const size_t credit_;
  WakingRing& ring_;
  alignas(64) std::atomic<uint64_t> tail_{0};
  uint64_t put_ = 0, head_seen_ = 0;
  size_t next_put_ = 0;
  alignas(64) std::atomic<uint64_t> head_{0};
  uint64_t got_ = 0, got_told_ = 0, tail_seen_ = 0;
  size_t next_get_ = 0;
  alignas(64) std::atomic<bool> reader_sleeps_{false};
  std::atomic<uint32_t> producer_sleeps_{0};
};

template <bool kAsymmetric, bool kBatches>
class Stream final : public Side {
 public:
  explicit Stream(size_t capacity) : capacity_(capacity) {}

  Measured run(uint64_t count) override {
    return time_of(count, [&] {
      Slots<kAsymmetric> slots(capacity_, ring_);
      std::thread producer([&slots, count] {
        for (uint64_t i = 0; i < count; ++i) slots.put(i);
      });
      uint64_t sum = 0;
      for (uint64_t i = 0; i < count;) {
        if constexpr (kBatches) {
          std::vector<uint64_t> batch(slots.there());
          for (uint64_t& item : batch) item = slots.get();
          for (const uint64_t item : batch) sum += item;
          i += batch.size();
        } else {
          sum += slots.get();
          ++i;
        }
      }
      producer.join();
      if (sum != count * (count - 1) / 2) throw std::logic_error("the stream has lost items");
    });
  }

 private:
  const size_t capacity_;
  WakingRing ring_;
};

}  // namespace

MakeSide stream(size_t capacity) {
  return [capacity]() -> std::unique_ptr<Side> {
    if (capacity >= kAsymmetricFrom) return std::make_unique<Stream<true, false>>(capacity);
    return std::make_unique<Stream<false, false>>(capacity);
  };
}
MakeSide stream_in_batches(size_t capacity) {
  return [capacity] { return std::make_unique<Stream<true, true>>(capacity); };
}

}  // namespace weir::bench::raw
