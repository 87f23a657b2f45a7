#include "weir/bridge/bounded_ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace weir::internal {
namespace {

// A thread that stands for a loop: it sleeps until it is notified.
class SleepingReader final : public RingReader {
 public:
  void notify() noexcept override {
    notified_.fetch_add(1, std::memory_order_release);
    futex_wake(notified_, 1);
  }
  // For each wait() that returned true.
  void sleep() {
    while (notified_.load(std::memory_order_acquire) == seen_) futex_wait(notified_, seen_);
    ++seen_;
  }
  uint32_t notifications() const { return notified_.load(); }

 private:
  std::atomic<uint32_t> notified_{0};
  uint32_t seen_ = 0;
};

template <class T>
std::optional<T> next(BoundedRing<T>& ring, SleepingReader& reader) {
  for (;;) {
    std::optional<T> item;
    switch (ring.get(item)) {
      case RingGet::kItem:
        return item;
      case RingGet::kEnd:
        return std::nullopt;
      case RingGet::kEmpty:
        if (ring.wait()) reader.sleep();
    }
  }
}

int thread_storm() {
  const char* factor = std::getenv("WEIR_STORM");
  return factor == nullptr ? 1 : std::max(1, std::atoi(factor));
}

void wait_until_producer_sleeps(const BoundedRing<int>& ring, uint64_t sleeps) {
  while (ring.counters().producer_sleeps < sleeps) std::this_thread::yield();
}

TEST(BoundedRing, ItemsComeOutInOrder) {
  SleepingReader reader;
  BoundedRing<int> ring({.max_size = 3}, reader);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ring.put(int{i}));
  std::optional<int> item;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(ring.get(item), RingGet::kItem);
    EXPECT_EQ(item, i);
  }
  EXPECT_EQ(ring.get(item), RingGet::kEmpty);
  EXPECT_EQ(ring.counters().put, 3u);
  EXPECT_EQ(ring.counters().got, 3u);
}

TEST(BoundedRing, TheLimitIsExactWhateverItIs) {
  for (size_t limit : {1, 2, 3, 5, 7, 16, 100, 255, 256, 257, 1000}) {
    SleepingReader reader;
    BoundedRing<size_t> ring({.max_size = limit}, reader);
    for (size_t round = 0; round < 3; ++round) {
      size_t fitted = 0;
      for (size_t item = 0; ring.try_put(item); item = fitted) ++fitted;
      EXPECT_EQ(fitted, limit);
      std::optional<size_t> item;
      for (size_t i = 0; i < limit; ++i) {
        ASSERT_EQ(ring.get(item), RingGet::kItem);
        EXPECT_EQ(item, i);
      }
      EXPECT_EQ(ring.get(item), RingGet::kEmpty);
    }
  }
}

TEST(BoundedRing, ARefusedItemIsUntouched) {
  SleepingReader reader;
  BoundedRing<std::unique_ptr<int>> ring({.max_size = 1}, reader);
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  EXPECT_TRUE(ring.try_put(first));
  EXPECT_FALSE(ring.try_put(second));
  EXPECT_EQ(*second, 2);
  ring.close();
  EXPECT_FALSE(ring.put(std::move(second)));
  EXPECT_EQ(*second, 2);
}

TEST(BoundedRing, AnUnboundedOneNeverSleeps) {
  SleepingReader reader;
  BoundedRing<int> ring({}, reader);
  constexpr int kItems = 100'000;
  for (int i = 0; i < kItems; ++i) ASSERT_TRUE(ring.put(int{i}));
  ring.finish();
  for (int i = 0; i < kItems; ++i) ASSERT_EQ(next(ring, reader), i);
  EXPECT_EQ(next(ring, reader), std::nullopt);
  EXPECT_EQ(ring.counters().producer_sleeps, 0u);
}

TEST(BoundedRing, TheEndComesAfterTheLastItem) {
  SleepingReader reader;
  BoundedRing<int> ring({.max_size = 4}, reader);
  ring.put(1);
  ring.put(2);
  ring.finish();
  std::optional<int> item;
  EXPECT_EQ(ring.get(item), RingGet::kItem);
  EXPECT_EQ(ring.get(item), RingGet::kItem);
  EXPECT_EQ(ring.get(item), RingGet::kEnd);
  EXPECT_EQ(ring.get(item), RingGet::kEnd);
  EXPECT_FALSE(ring.wait());
  EXPECT_EQ(ring.take_error(), nullptr);
}

TEST(BoundedRing, TheErrorComesAfterTheLastItemOnce) {
  SleepingReader reader;
  BoundedRing<int> ring({.max_size = 4}, reader);
  ring.put(1);
  ring.finish(std::make_exception_ptr(std::runtime_error("disk gone")));
  std::optional<int> item;
  EXPECT_EQ(ring.get(item), RingGet::kItem);
  EXPECT_EQ(ring.get(item), RingGet::kEnd);
  EXPECT_NE(ring.take_error(), nullptr);
  EXPECT_EQ(ring.take_error(), nullptr);
}

TEST(BoundedRing, OnlyAWaitingReaderIsNotified) {
  SleepingReader reader;
  BoundedRing<int> ring({}, reader);
  for (int i = 0; i < 1000; ++i) ring.put(int{i});
  EXPECT_EQ(reader.notifications(), 0u);
  EXPECT_FALSE(ring.wait()) << "there are items";
  std::vector<int> items;
  EXPECT_EQ(ring.get_some(items, 10'000), 1000u);
  EXPECT_EQ(items.back(), 999);
  EXPECT_TRUE(ring.wait());
  ring.put(1);
  ring.put(2);
  EXPECT_EQ(reader.notifications(), 1u);
  EXPECT_EQ(ring.counters().reader_wakeups, 1u);
}

TEST(BoundedRing, AWithdrawnWaitIsNotNotified) {
  SleepingReader reader;
  BoundedRing<int> ring({}, reader);
  EXPECT_TRUE(ring.wait());
  EXPECT_TRUE(ring.cancel_wait());
  ring.put(1);
  EXPECT_EQ(reader.notifications(), 0u);
  std::optional<int> item;
  EXPECT_EQ(ring.get(item), RingGet::kItem);
  EXPECT_TRUE(ring.wait());
  ring.put(2);
  EXPECT_FALSE(ring.cancel_wait()) << "the notification has been made";
  EXPECT_EQ(reader.notifications(), 1u);
}

TEST(BoundedRing, TheEndNotifies) {
  SleepingReader reader;
  BoundedRing<int> ring({}, reader);
  EXPECT_TRUE(ring.wait());
  ring.finish();
  EXPECT_EQ(reader.notifications(), 1u);
}

TEST(BoundedRing, GetSomeTakesUpToTheCount) {
  SleepingReader reader;
  BoundedRing<int> ring({.max_size = 8}, reader);
  std::vector<int> items;
  EXPECT_EQ(ring.get_some(items, 3), 0u);
  for (int i = 0; i < 5; ++i) ring.put(int{i});
  EXPECT_EQ(ring.get_some(items, 3), 3u);
  EXPECT_EQ(ring.get_some(items, 3), 2u);
  EXPECT_EQ(items, (std::vector<int>{0, 1, 2, 3, 4}));
}

// Runs of items end at blocks, at what is there, at the count, and at a quarter of the limit.
TEST(BoundedRing, ABatchGoesOverBlocksAndGivesTheRoomBack) {
  SleepingReader reader;
  BoundedRing<std::unique_ptr<int>> ring({.max_size = 20, .items_per_block = 7}, reader);
  int put = 0;
  int got = 0;
  for (size_t count = 1; count < 60; ++count) {
    auto item = std::make_unique<int>(put);
    while (ring.try_put(item)) item = std::make_unique<int>(++put);
    std::vector<std::unique_ptr<int>> items;
    items.push_back(nullptr);
    EXPECT_EQ(ring.get_some(items, count), std::min<size_t>(count, 20));
    for (size_t i = 1; i < items.size(); ++i) EXPECT_EQ(*items[i], got++);
    (void)ring.wake_producer_if_room();  // publishes what is left of a quarter
  }
  EXPECT_EQ(ring.counters().got, static_cast<uint64_t>(got));
}

TEST(BoundedRing, QueuedItemsAreDestroyedWithIt) {
  auto token = std::make_shared<int>(1);
  {
    SleepingReader reader;
    BoundedRing<std::shared_ptr<int>> ring({.items_per_block = 2}, reader);
    for (int i = 0; i < 7; ++i) ring.put(std::shared_ptr<int>(token));
    std::optional<std::shared_ptr<int>> item;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(ring.get(item), RingGet::kItem);
    item.reset();
    EXPECT_EQ(token.use_count(), 5);
  }
  EXPECT_EQ(token.use_count(), 1);
}

struct ThrowsWhenMoved {
  explicit ThrowsWhenMoved(int number) : value(number) {}
  ThrowsWhenMoved(ThrowsWhenMoved&& other) : value(other.value) {
    if (armed) throw std::runtime_error("move");
  }
  int value;
  static inline bool armed = false;
};

TEST(BoundedRing, AMoveThatThrowsLosesNothing) {
  SleepingReader reader;
  BoundedRing<ThrowsWhenMoved> ring({.max_size = 2}, reader);
  ThrowsWhenMoved::armed = true;
  EXPECT_THROW(ring.put(ThrowsWhenMoved(1)), std::runtime_error);
  ThrowsWhenMoved::armed = false;
  EXPECT_TRUE(ring.put(ThrowsWhenMoved(2)));
  std::optional<ThrowsWhenMoved> item;
  ThrowsWhenMoved::armed = true;
  EXPECT_THROW(ring.get(item), std::runtime_error);
  ThrowsWhenMoved::armed = false;
  EXPECT_EQ(ring.get(item), RingGet::kItem);
  EXPECT_EQ(item->value, 2);
  EXPECT_EQ(ring.get(item), RingGet::kEmpty);
}

TEST(BoundedRing, ABatchThatThrowsKeepsWhatItHas) {
  SleepingReader reader;
  BoundedRing<ThrowsWhenMoved> ring({.max_size = 4}, reader);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ring.put(ThrowsWhenMoved(i)));
  std::vector<ThrowsWhenMoved> items;
  items.reserve(3);
  EXPECT_EQ(ring.get_some(items, 1), 1u);
  ThrowsWhenMoved::armed = true;
  EXPECT_THROW(ring.get_some(items, 2), std::runtime_error);
  ThrowsWhenMoved::armed = false;
  EXPECT_EQ(ring.get_some(items, 5), 2u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(items[static_cast<size_t>(i)].value, i);
}

TEST(BoundedRing, OverAlignedItems) {
  struct alignas(256) Wide {
    explicit Wide(int number) : value(number) {}
    int value;
  };
  SleepingReader reader;
  BoundedRing<Wide> ring({.items_per_block = 3}, reader);
  for (int i = 0; i < 10; ++i) ring.put(Wide(i));
  std::optional<Wide> item;
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(ring.get(item), RingGet::kItem);
    EXPECT_EQ(item->value, i);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&*item) % 256, 0u);
  }
}

TEST(BoundedRing, AFullQueuePutsTheProducerToSleepUntilHalfIsFree) {
  SleepingReader reader;
  BoundedRing<int> ring({.max_size = 8}, reader);
  std::thread producer([&ring] {
    for (int i = 0; i < 12; ++i) ring.put(int{i});
    ring.finish();
  });
  wait_until_producer_sleeps(ring, 1);
  EXPECT_EQ(ring.counters().put, 8u);
  std::optional<int> item;
  for (int i = 0; i < 3; ++i) ring.get(item);
  EXPECT_EQ(ring.counters().producer_wakeups, 0u);
  ring.get(item);
  EXPECT_EQ(ring.counters().producer_wakeups, 1u);
  for (int i = 4; i < 12; ++i) EXPECT_EQ(next(ring, reader), i);
  EXPECT_EQ(next(ring, reader), std::nullopt);
  producer.join();
}

TEST(BoundedRing, ALoopThatIsAboutToSleepWakesTheProducer) {
  SleepingReader reader;
  BoundedRing<int> ring({.max_size = 8}, reader);
  EXPECT_FALSE(ring.wake_producer_if_room());
  std::thread producer([&ring] {
    for (int i = 0; i < 9; ++i) ring.put(int{i});
    ring.finish();
  });
  wait_until_producer_sleeps(ring, 1);
  EXPECT_FALSE(ring.wake_producer_if_room()) << "there is no room";
  EXPECT_EQ(next(ring, reader), 0);
  EXPECT_TRUE(ring.wake_producer_if_room());
  EXPECT_FALSE(ring.wake_producer_if_room()) << "it is awake";
  producer.join();
  EXPECT_EQ(ring.counters().put, 9u);
}

TEST(BoundedRing, CloseWakesASleepingProducer) {
  SleepingReader reader;
  BoundedRing<int> ring({.max_size = 2}, reader);
  std::atomic<int> put{0};
  std::thread producer([&] {
    while (ring.put(1)) put.fetch_add(1);
    ring.finish();
  });
  wait_until_producer_sleeps(ring, 1);
  ring.close();
  ring.close();
  producer.join();
  EXPECT_EQ(put.load(), 2);
  EXPECT_TRUE(ring.closed());
}

TEST(BoundedRing, TheProducerIsNeverMoreThanTheLimitAndOneAhead) {
  for (int limit : {1, 2, 3, 16}) {
    SleepingReader reader;
    BoundedRing<int> ring({.max_size = static_cast<size_t>(limit)}, reader);
    std::atomic<int> made{0};
    std::thread producer([&] {
      do made.fetch_add(1);
      while (ring.put(made.load() - 1));
      ring.finish();
    });
    for (int got = 0; got < 100; ++got) {
      EXPECT_EQ(next(ring, reader), got);
      EXPECT_LE(made.load(), got + 1 + limit + 1);
    }
    ring.wake_producer_if_room();
    while (made.load() < 100 + limit + 1) std::this_thread::yield();  // at rest it is exactly that far
    wait_until_producer_sleeps(ring, 1);
    EXPECT_EQ(made.load(), 100 + limit + 1);
    ring.close();
    producer.join();
  }
}

// Producer and reader run freely; every item arrives once, in order, and then the error.
void storm(size_t limit, int items, uint32_t seed, uint32_t light_after) {
  SleepingReader reader;
  BoundedRing<int> ring({.max_size = limit, .items_per_block = 1 + seed % 7, .light_after = light_after}, reader);
  std::thread producer([&ring, items, seed] {
    std::minstd_rand random(seed);
    for (int i = 0; i < items; ++i) {
      if (random() % 64 == 0) std::this_thread::yield();
      ASSERT_TRUE(ring.put(int{i}));
    }
    ring.finish(std::make_exception_ptr(std::runtime_error("end")));
  });
  std::minstd_rand random(seed + 1);
  std::vector<int> batch;
  for (int expected = 0; expected < items;) {
    if (random() % 64 == 0) std::this_thread::yield();
    if (random() % 16 == 0) {
      batch.clear();
      ring.get_some(batch, 1 + random() % 8);
      for (int item : batch) ASSERT_EQ(item, expected++);
    } else if (random() % 8 == 0) {
      ring.wake_producer_if_room();
    } else if (random() % 8 == 0) {
      if (ring.wait() && !ring.cancel_wait()) reader.sleep();
    } else {
      ASSERT_EQ(next(ring, reader), expected++);
    }
  }
  EXPECT_EQ(next(ring, reader), std::nullopt);
  EXPECT_NE(ring.take_error(), nullptr);
  producer.join();
}

TEST(BoundedRing, StormDeliversEveryItemAndTheError) {
  const int items = 20'000 * thread_storm();
  uint32_t seed = 1;
  for (size_t limit : {1, 2, 3, 16, 128, 0}) {
    for (uint32_t light_after : {1, 16}) storm(limit, items, ++seed, light_after);
  }
}

TEST(BoundedRing, StormOfEndsLosesNoLastItem) {
  const int rounds = 1000 * thread_storm();
  for (int round = 0; round < rounds; ++round) storm(round % 3, 1 + round % 4, round, 1 + round % 3);
}

TEST(BoundedRing, StormOfCloses) {
  const int rounds = 1000 * thread_storm();
  for (int round = 0; round < rounds; ++round) {
    SleepingReader reader;
    BoundedRing<int> ring({.max_size = static_cast<size_t>(1 + round % 3)}, reader);
    std::thread producer([&ring] {
      for (int i = 0; ring.put(int{i}); ++i) {
      }
      ring.finish();
    });
    for (int got = 0; got < round % 5; ++got) EXPECT_EQ(next(ring, reader), got);
    std::thread closer([&ring] { ring.close(); });
    closer.join();
    while (next(ring, reader).has_value()) {
    }
    producer.join();
  }
}

}  // namespace
}  // namespace weir::internal
