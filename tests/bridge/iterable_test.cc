#include "weir/bridge/iterable.h"

#include <gtest/gtest.h>

#include "weir/weir.h"

namespace weir {
namespace {

Generator<int> count_to(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}

Task<> read_all(std::size_t max_size, int count) {
  auto numbers = threaded_iterable(count_to, {.max_size = max_size});
  auto it = numbers(count);
  int expected = 0;
  while (auto n = co_await it.next()) EXPECT_EQ(*n, expected++);
  EXPECT_EQ(expected, count);
  EXPECT_FALSE((co_await it.next()).has_value());
  co_await it.close();
}

TEST(Iterable, I04_ItemsComeInTheirOrder) {
  for (std::size_t max_size : {0, 1, 2, 16, 1024}) run(read_all(max_size, 10'000));
}

Task<> close_endless() {
  auto endless = [](Sink<int>& sink) {
    for (int i = 0;; ++i) sink.put(i);
  };
  IteratorWrapper it(endless, {.max_size = 2});
  EXPECT_EQ(*co_await it.next(), 0);
  co_await it.close();
  EXPECT_TRUE(it.closed());
  EXPECT_FALSE((co_await it.next()).has_value());
  EXPECT_LE(it.stats().put, 4u);
  auto batch_of = threaded_iterable(count_to);
  auto it2 = batch_of(10);
  std::size_t got = 0;
  for (;;) {
    auto batch = co_await it2.next_batch(4);
    if (batch.empty()) break;
    got += batch.size();
  }
  EXPECT_EQ(got, 10u);
}

TEST(Iterable, I14_CloseStopsAProducerThatIsBlocked) { run(close_endless()); }

// A notice may find the ring empty: that is no end.
Task<> read_in_batches(int count) {
  auto numbers = threaded_iterable(count_to, {.max_size = 256});
  auto it = numbers(count);
  int expected = 0;
  for (;;) {
    const std::vector<int> batch = co_await it.next_batch(256);
    if (batch.empty()) break;
    for (int n : batch) {
      if (n != expected++) throw std::logic_error("items in another order");
    }
    co_await yield();
  }
  EXPECT_EQ(expected, count);
}

TEST(Iterable, AReaderThatIsAlwaysAboutToWaitMissesNothing) { run(read_in_batches(3'000'000)); }

Task<> drop_unfinished() {
  auto numbers = threaded_iterable(count_to, {.max_size = 1});
  auto it = numbers(1000);
  EXPECT_EQ(*co_await it.next(), 0);
}
TEST(Iterable, DroppedAtTheLoopsEnd) { run(drop_unfinished()); }

}  // namespace
}  // namespace weir
