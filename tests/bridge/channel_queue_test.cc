#include "weir/bridge/channel_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace {

struct Reader final : ChannelReader {
  void notify() noexcept override { ++notices; }
  int notices = 0;
};

using Item = std::unique_ptr<int>;
using Queue = ChannelQueue<Item>;
using Put = Queue::Put;

Put put(Queue& queue, int number) {
  Item item = std::make_unique<int>(number);
  const Put put = queue.put(item);
  EXPECT_EQ(item == nullptr, put == Put::kPut) << "an item that was not put is untouched";
  return put;
}

// nullopt: nothing is there.
std::optional<int> get(Queue& queue, bool& ended) {
  Item* const item = queue.front(ended);
  if (item == nullptr) return std::nullopt;
  const int number = **item;
  queue.pop();
  queue.tell();
  return number;
}
std::optional<int> get(Queue& queue) {
  bool ended = true;
  const std::optional<int> number = get(queue, ended);
  EXPECT_FALSE(ended);
  return number;
}

// The reader finds the queue empty, then the last item and the close come, then it asks for a notice.
TEST(ChannelQueue, N01_TheLastItemIsNotLostAtTheClose) {
  Reader reader;
  Queue queue(0, reader);
  EXPECT_EQ(get(queue), std::nullopt);
  EXPECT_EQ(put(queue, 9), Put::kPut);
  EXPECT_TRUE(queue.close());
  EXPECT_FALSE(queue.wait());
  EXPECT_EQ(get(queue), 9);
  bool ended = false;
  EXPECT_EQ(get(queue, ended), std::nullopt);
  EXPECT_TRUE(ended);
  EXPECT_FALSE(queue.wait());
  EXPECT_EQ(reader.notices, 0);
}

TEST(ChannelQueue, N17_NothingEntersAfterTheClose) {
  Reader reader;
  Queue queue(0, reader);
  EXPECT_TRUE(queue.close());
  EXPECT_FALSE(queue.close());
  EXPECT_TRUE(queue.closed());
  EXPECT_EQ(put(queue, 10), Put::kClosed);
  bool ended = false;
  EXPECT_EQ(get(queue, ended), std::nullopt);
  EXPECT_TRUE(ended);
}

TEST(ChannelQueue, AWaitIsAnsweredOnce) {
  Reader reader;
  Queue queue(0, reader);
  ASSERT_TRUE(queue.wait());
  put(queue, 1);
  EXPECT_EQ(reader.notices, 1);
  put(queue, 2);
  EXPECT_EQ(reader.notices, 1);
  EXPECT_FALSE(queue.cancel_wait());  // too late: the notice was given
  EXPECT_FALSE(queue.wait());
  EXPECT_EQ(get(queue), 1);
  EXPECT_EQ(get(queue), 2);
  ASSERT_TRUE(queue.wait());
  EXPECT_TRUE(queue.cancel_wait());
  ASSERT_TRUE(queue.wait());
  EXPECT_TRUE(queue.close());
  EXPECT_EQ(reader.notices, 2);
  EXPECT_FALSE(queue.close());
  EXPECT_EQ(reader.notices, 2);
}

// Up to the limit and no further, whatever the size of the rings behind it, and again and again round them.
TEST(ChannelQueue, TheLimitIsExact) {
  for (const size_t limit : {1, 2, 3, 7, 64, 65, 1000}) {
    for (const size_t first_size : {1, 2, 64}) {
      SCOPED_TRACE(::testing::Message() << "limit " << limit << ", first ring of " << first_size);
      Reader reader;
      Queue queue(limit, reader, first_size);
      int next = 0, expected = 0;
      for (int round = 0; round < 5; ++round) {
        while (put(queue, next) == Put::kPut) ++next;
        EXPECT_EQ(static_cast<size_t>(next - expected), limit);
        EXPECT_EQ(queue.room(), 0u);
        EXPECT_EQ(get(queue), expected++);
        EXPECT_EQ(queue.room(), 1u);
        EXPECT_EQ(put(queue, next++), Put::kPut);
        EXPECT_EQ(put(queue, next), Put::kFull);
        for (size_t i = 0; i < limit - static_cast<size_t>(round) % limit; ++i) EXPECT_EQ(get(queue), expected++);
      }
      EXPECT_EQ(queue.put_count(), static_cast<uint64_t>(next));
      EXPECT_EQ(queue.got_count(), static_cast<uint64_t>(expected));
    }
  }
}

TEST(ChannelQueue, WithoutLimitTheRingGrowsUnderBothSides) {
  Reader reader;
  Queue queue(0, reader, 1);
  EXPECT_FALSE(queue.bounded());
  int next = 0, expected = 0;
  for (int step = 1; step < 300; ++step) {
    for (int i = 0; i < 2 * step; ++i) ASSERT_EQ(put(queue, next++), Put::kPut);
    for (int i = 0; i < step; ++i) ASSERT_EQ(get(queue), expected++);
  }
  while (const std::optional<int> number = get(queue)) ASSERT_EQ(*number, expected++);
  EXPECT_EQ(next, expected);
}

TEST(ChannelQueue, WhatIsLeftIsDestroyedWithIt) {
  auto counted = std::make_shared<int>(0);
  Reader reader;
  {
    ChannelQueue<std::shared_ptr<int>> queue(0, reader, 2);
    for (int i = 0; i < 100; ++i) {
      std::shared_ptr<int> item = counted;
      queue.put(item);
    }
    bool ended = false;
    for (int i = 0; i < 3; ++i) {
      ASSERT_NE(queue.front(ended), nullptr);
      queue.pop();
      queue.tell();
    }
    EXPECT_EQ(counted.use_count(), 98);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

// The loop puts where it has just taken, although the queue is full for all others.
TEST(ChannelQueue, TheRoomOfAnItemCanBeExchanged) {
  Reader reader;
  Queue queue(1, reader);
  put(queue, 1);
  bool ended = false;
  ASSERT_NE(queue.front(ended), nullptr);
  queue.pop();
  EXPECT_EQ(put(queue, 3), Put::kFull);
  Item mine = std::make_unique<int>(2);
  EXPECT_EQ(queue.put_in_exchange(mine), Put::kPut);
  queue.tell();
  EXPECT_EQ(put(queue, 3), Put::kFull);
  EXPECT_EQ(get(queue), 2);
  EXPECT_EQ(put(queue, 3), Put::kPut);
}

// Threads that put as fast as they can, without limit, so that the ring grows under them again and again.
TEST(ChannelQueue, C18_ManyThreadsPutWhileItGrows) {
  constexpr int kThreads = 4;
  const int rounds = testing::storm(20);
  constexpr int kItems = 5000;
  for (int round = 0; round < rounds; ++round) {
    Reader reader;  // nobody waits, nobody is notified
    Queue queue(0, reader, 1);
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&queue, t] {
        for (int i = 0; i < kItems; ++i) EXPECT_EQ(put(queue, t * kItems + i), Put::kPut);
      });
    }
    std::vector<int> next(kThreads, 0);
    for (int got = 0; got < kThreads * kItems;) {
      const std::optional<int> number = get(queue);
      if (!number) {
        std::this_thread::yield();
        continue;
      }
      ++got;
      ASSERT_EQ(*number % kItems, next[static_cast<size_t>(*number / kItems)]++);
    }
  }
}

}  // namespace
}  // namespace weir::internal
