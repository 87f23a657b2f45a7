#include "weir/bridge/iterable.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;

Generator<int> count_to(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}

template <class T>
Task<std::vector<T>> read_all(IteratorWrapper<T> it) {
  std::vector<T> items;
  while (auto item = co_await it.next()) items.push_back(std::move(*item));
  co_return items;
}

TEST(Iterable, I01_CallingRunsNothingAndNeedsNoLoop) {
  int calls = 0;
  auto numbers = threaded_iterable([&calls](int n) {
    ++calls;
    return std::vector<int>(n, 7);
  });
  {
    auto unused = numbers(3);
    auto another = numbers(4);
  }
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(numbers.sync_call(2), (std::vector<int>{7, 7}));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(run(read_all(numbers(3))).size(), 3u);
  EXPECT_EQ(calls, 2);
}

Task<> lazy_start() {
  std::atomic<int> calls = 0;
  auto numbers = threaded_iterable([&calls] {
    ++calls;
    return std::vector<int>{1};
  });
  co_await with(numbers(), [&calls](IteratorWrapper<int>& it) -> Task<> {
    co_await tests::settle();
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(co_await it.next(), 1);
    EXPECT_EQ(calls, 1);
  });
}
TEST(Iterable, I02_D24_N06_TheFirstNextStartsIt) { run(lazy_start()); }

TEST(Iterable, I04_ItemsComeInTheirOrder) {
  for (const std::size_t max_size : {0, 1, 2, 3, 16, 1024}) {
    const std::vector<int> items = run(read_all(threaded_iterable(count_to, {.max_size = max_size})(10'000)));
    ASSERT_EQ(items.size(), 10'000u);
    for (int i = 0; i < 10'000; ++i) ASSERT_EQ(items[i], i);
  }
}

// The producer says how far it is; the test waits for that, on the loop, which idles.
Task<> back_pressure(int max_size, int consumed) {
  Event there;
  std::atomic<int> advanced = 0;
  const int expected = consumed + max_size + 1;
  auto numbers = [&]() -> Generator<int> {
    for (int i = 0;; ++i) {
      if (++advanced == expected) LoopHandle::current().post([&] { there.set(); });
      co_yield i;
    }
  };
  IteratorWrapper it(numbers, {.max_size = static_cast<std::size_t>(max_size)});
  for (int i = 0; i < consumed; ++i) {
    EXPECT_EQ(co_await it.next(), i);
    EXPECT_LE(advanced, i + 1 + max_size + 1);
  }
  co_await there.wait();
  co_await tests::settle();
  EXPECT_EQ(advanced, expected);
  co_await it.close();
  EXPECT_EQ(advanced, expected);
}
TEST(Iterable, I06_ProducerIsAtMostMaxSizePlusOneAhead) {
  for (const int max_size : {1, 2, 3, 16, 64}) {
    for (const int consumed : {1, 2, 5}) run(back_pressure(max_size, consumed));
  }
}

struct SetAtEnd {
  std::atomic<bool>& flag;
  explicit SetAtEnd(std::atomic<bool>& to_set) : flag(to_set) {}
  ~SetAtEnd() { flag = true; }
};

Task<> end_means_finished() {
  std::atomic<bool> gone = false;
  auto numbers = [&gone]() -> Generator<int> {
    const SetAtEnd at_end(gone);
    co_yield 1;
  };
  IteratorWrapper it(numbers);
  EXPECT_EQ(co_await it.next(), 1);
  EXPECT_FALSE((co_await it.next()).has_value());
  EXPECT_TRUE(gone);
  EXPECT_FALSE((co_await it.next()).has_value());
}
TEST(Iterable, I07_TheEndComesWhenTheProducersFrameIsGone) { run(end_means_finished()); }

Task<> exhausted() {
  std::atomic<int> calls = 0;
  auto it = threaded_iterable([&calls] {
    ++calls;
    return std::vector<int>{5};
  })();
  EXPECT_EQ(co_await it.next(), 5);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE((co_await it.next()).has_value());
  EXPECT_EQ(calls, 1);
}
TEST(Iterable, I08_AnExhaustedStreamStaysEmpty) { run(exhausted()); }

Generator<int> two_then_throw() {
  co_yield 0;
  co_yield 1;
  throw std::out_of_range("third");
}
Task<> failure_after_items() {
  for (const std::size_t max_size : {0, 1, 2}) {
    auto it = threaded_iterable(two_then_throw, {.max_size = max_size})();
    EXPECT_EQ(co_await it.next(), 0);
    EXPECT_EQ(co_await it.next(), 1);
    EXPECT_THROW(co_await it.next(), std::out_of_range);
    EXPECT_FALSE((co_await it.next()).has_value());
    EXPECT_TRUE(it.closed());
  }
}
TEST(Iterable, I09_WhatTheProducerThrowsComesAfterItsItemsOnce) { run(failure_after_items()); }

Task<> failing_call() {
  auto it = threaded_iterable([]() -> std::vector<int> { throw std::domain_error("call"); })();
  EXPECT_THROW(co_await it.next(), std::domain_error);
  EXPECT_FALSE((co_await it.next()).has_value());
}
TEST(Iterable, I10_AFailureOfTheCallComesWithTheFirstNext) { run(failing_call()); }

Task<> odd_exception() {
  auto it = threaded_iterable([](Sink<int>& sink) {
    sink.put(1);
    throw 42;
  })();
  EXPECT_EQ(co_await it.next(), 1);
  EXPECT_THROW(co_await it.next(), int);
}
TEST(Iterable, I11_N05_ExceptionsOfEveryTypeAreDelivered) { run(odd_exception()); }

Task<> cancelled_next_loses_nothing() {
  for (int round = 0; round < 200; ++round) {
    Gate go;
    auto it = threaded_iterable([&go](Sink<int>& sink) {
      go.wait();
      for (int i = 0; i < 3; ++i) sink.put(i);
    })();
    std::optional<int> first;
    auto handle = spawn([&]() -> Task<> { first = co_await it.next(); });
    co_await tests::settle();
    if (round % 2 == 0) go.open();
    handle.cancel();
    try {
      co_await std::move(handle);
    } catch (const Cancelled&) {
    }
    go.open();
    int expected = 0;
    if (first) {
      EXPECT_EQ(*first, expected++);
    }
    while (auto item = co_await it.next()) EXPECT_EQ(*item, expected++);
    EXPECT_EQ(expected, 3);
  }
}
TEST(Iterable, I29_ACancelledNextLosesNoItem) { run(cancelled_next_loses_nothing()); }

Task<> second_reader() {
  Gate go;
  auto it = threaded_iterable([&go](Sink<int>& sink) {
    go.wait();
    sink.put(1);
  })();
  auto first = spawn([&]() -> Task<int> { co_return (co_await it.next()).value_or(-1); });
  co_await tests::settle();
  EXPECT_THROW(co_await it.next(), std::logic_error);
  go.open();
  EXPECT_EQ(co_await std::move(first), 1);
  EXPECT_FALSE((co_await it.next()).has_value());
}
TEST(Iterable, I31_ASecondNextWhileOneWaitsIsAMistake) { run(second_reader()); }

// A second reader that comes between the notice and the first one's turn must not take its item from it.
Task<> second_reader_between() {
  Gate go;
  auto it = threaded_iterable([&go](Sink<int>& sink) {
    go.wait();
    sink.put(1);
  })();
  bool first_done = false;
  int got = -1;
  auto first = spawn([&]() -> Task<> {
    got = (co_await it.next()).value_or(-2);
    first_done = true;
  });
  co_await tests::settle();
  go.open();
  while (!first_done) {
    try {
      (void)co_await it.next();
      EXPECT_TRUE(first_done) << "an item that another next() waited for";
      break;
    } catch (const std::logic_error&) {
    }
    co_await yield();
  }
  co_await std::move(first);
  EXPECT_EQ(got, 1);
}
TEST(Iterable, I31_ASecondNextCannotStealFromOneThatWasNotified) {
  for (int i = 0; i < 50; ++i) run(second_reader_between());
}

TEST(Iterable, I31_AStreamIsReadOnTheLoopThatStartedIt) {
  auto it = threaded_iterable(count_to, {.max_size = 1})(10);
  auto loop = tests::make_loop();
  const auto first = [](IteratorWrapper<int>& stream) -> Task<int> { co_return (co_await stream.next()).value(); };
  EXPECT_EQ(loop->run(first(it)), 0);
  std::thread other([&] {
    EXPECT_THROW(run(first(it)), std::logic_error);
    EXPECT_THROW(run([](IteratorWrapper<int>& stream) -> Task<> { co_await stream.close(); }(it)), std::logic_error);
  });
  other.join();
}

Task<> executor_argument(ThreadPool& pool) {
  const auto name = [] {
    char text[16] = {};
    pthread_getname_np(pthread_self(), text, sizeof text);
    return std::vector<std::string>{text};
  };
  IteratorWrapper it(name, {.max_size = 1, .executor = &pool});
  EXPECT_EQ(co_await it.next(), "custom-0");
  auto again = threaded_iterable(name).on(pool)();
  EXPECT_EQ(co_await again.next(), "custom-0");
}
TEST(Iterable, I34_OnAnotherPool) {
  ThreadPool pool({.size = 1, .name = "custom"});
  run(executor_argument(pool));
}

Task<> snapshot_at_the_call(ContextVar<int>& variable) {
  variable.set(1);
  auto it = threaded_iterable([&variable](Sink<int>& sink) { sink.put(variable.get()); })();
  variable.set(2);
  EXPECT_EQ(co_await it.next(), 1);
}
TEST(Iterable, I37_N04_TheContextIsASnapshotOfTheCall) {
  ContextVar<int> variable("variable", 0);
  run(snapshot_at_the_call(variable));
}

Task<int> twice(int n) {
  co_await yield();
  co_return 2 * n;
}
Task<> sync_await_inside() {
  auto it = threaded_iterable([](Sink<int>& sink) {
    for (int i = 0; i < 10; ++i) sink.put(sync_await(twice, i));
  }, {.max_size = 1})();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(co_await it.next(), 2 * i);
}
TEST(Iterable, I38_N04_SyncAwaitWorksInAProducer) { run(sync_await_inside()); }

Task<> always_ready() {
  auto it = threaded_iterable(count_to)(100'000);
  int ticks = 0;
  bool over = false;
  auto ticker = spawn([&]() -> Task<> {
    while (!over) {
      ++ticks;
      co_await yield();
    }
  });
  while (co_await it.next()) {
  }
  over = true;
  co_await std::move(ticker);
  EXPECT_GE(ticks, 100'000 / 256 / 2);
}
TEST(Iterable, N14_AStreamThatIsAlwaysReadyLetsOthersRun) { run(always_ready()); }

Task<> batches() {
  auto it = threaded_iterable(count_to)(10);
  EXPECT_TRUE((co_await it.next_batch(0)).empty());
  int expected = 0;
  for (;;) {
    const std::vector<int> batch = co_await it.next_batch(4);
    if (batch.empty()) break;
    EXPECT_LE(batch.size(), 4u);
    for (const int n : batch) EXPECT_EQ(n, expected++);
  }
  EXPECT_EQ(expected, 10);
}
TEST(Iterable, NextBatchGivesAtLeastOneAndAtMostSoMany) { run(batches()); }

// There is room, but less than half of it, when the run ends and the loop stands still.
TEST(Iterable, AProducerWithRoomGoesOnBetweenTwoRuns) {
  auto loop = Loop::create().value();
  auto it = threaded_iterable(count_to, {.max_size = 8})(20);
  const auto take = [&it](int count) -> Task<> {
    for (int i = 0; i < count; ++i) co_await it.next();
  };
  loop->run(take(1));
  while (it.stats().producer_sleeps == 0) std::this_thread::yield();
  loop->run(take(2));
  while (it.stats().put < 8 + 3) std::this_thread::yield();
  loop->run(take(17));
}

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

}  // namespace
}  // namespace weir
