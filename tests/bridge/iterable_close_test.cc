// Closing, dropping and cancelling at every point of a stream's life.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/iterable.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Count;
using testing::Gate;

class Counted {
 public:
  explicit Counted(std::atomic<int>& alive) : alive_(&alive) { ++*alive_; }
  Counted(const Counted& other) : alive_(other.alive_) { ++*alive_; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*alive_; }

 private:
  std::atomic<int>* alive_;
};

// Endless; everything in its frame is counted.
auto endless(std::atomic<int>& alive) {
  return [&alive]() -> Generator<int> {
    const Counted in_frame(alive);
    for (int i = 0;; ++i) co_yield i;
  };
}

Task<> close_blocked() {
  for (const std::size_t max_size : {1, 2, 16}) {
    std::atomic<int> alive = 0;
    IteratorWrapper it(endless(alive), {.max_size = max_size});
    EXPECT_EQ(co_await it.next(), 0);
    co_await it.close();
    EXPECT_EQ(alive, 0);
    EXPECT_TRUE(it.closed());
  }
}
TEST(Iterable, I15_D08_N15_CloseWakesAProducerThatIsBlocked) { run(close_blocked()); }
TEST(Iterable, I17_D10_TheProducersFrameIsDestroyedWhereItStands) { run(close_blocked()); }

Task<> channel_closed_again_and_again() {
  std::atomic<int> thrown = 0;
  Gate began;
  IteratorWrapper it([&](Sink<int>& sink) {
    began.open();
    for (int i = 0; thrown < 3; ++i) {
      try {
        sink.put(i);
      } catch (const ChannelClosed&) {
        ++thrown;
      }
    }
  }, {.max_size = 1});
  EXPECT_EQ(co_await it.next(), 0);
  co_await it.close();
  EXPECT_EQ(thrown, 3);
}
TEST(Iterable, I16_APushProducerSeesChannelClosedAtEachPut) { run(channel_closed_again_and_again()); }

struct Reports {
  std::atomic<int> count = 0;
  static void note(std::exception_ptr, std::string_view, void* user) noexcept { ++static_cast<Reports*>(user)->count; }
  LoopOptions options() {
    LoopOptions result;
    result.on_unhandled = &Reports::note;
    result.on_unhandled_user = this;
    return result;
  }
};

template <class E>
Task<> fail_in_cleanup() {
  IteratorWrapper it([](Sink<int>& sink) {
    try {
      for (int i = 0;; ++i) sink.put(i);
    } catch (const ChannelClosed&) {
      throw E("in the cleanup");
    }
  }, {.max_size = 1});
  EXPECT_EQ(co_await it.next(), 0);
  co_await it.close();
  const std::optional<int> after = co_await it.next();
  EXPECT_FALSE(after.has_value());
}
TEST(Iterable, I18_AFailureOfTheCleanupIsReportedOnce) {
  Reports reports;
  tests::make_loop(reports.options())->run(fail_in_cleanup<std::runtime_error>());
  EXPECT_EQ(reports.count, 1);
}

// The close reports what nobody can take any more, while the IteratorWrapper lives on.
Task<> fail_before_the_close(const Reports& reports) {
  IteratorWrapper it([](Sink<int>& sink) {
    sink.put(0);
    throw std::runtime_error("behind an item");
  });
  EXPECT_EQ(co_await it.next(), 0);
  EXPECT_EQ(reports.count, 0);
  co_await it.close();
  EXPECT_EQ(reports.count, 1);
}
Task<> fail_after_the_close(const Reports& reports) {
  IteratorWrapper it([](Sink<int>& sink) {
    try {
      for (int i = 0;; ++i) sink.put(i);
    } catch (const ChannelClosed&) {
      throw std::runtime_error("in the cleanup");
    }
  }, {.max_size = 1});
  EXPECT_EQ(co_await it.next(), 0);
  co_await it.close();
  EXPECT_EQ(reports.count, 1);
}
TEST(Iterable, I18_TheCloseItselfReportsIt) {
  for (auto* program : {fail_before_the_close, fail_after_the_close}) {
    Reports reports;
    tests::make_loop(reports.options())->run(program(reports));
    EXPECT_EQ(reports.count, 1);
  }
}

TEST(Iterable, N24_TheEchoOfACloseIsNotReported) {
  Reports reports;
  tests::make_loop(reports.options())->run(fail_in_cleanup<ChannelClosed>());
  EXPECT_EQ(reports.count, 0);
}

Task<> close_waits() {
  Gate began, go;
  std::atomic<bool> over = false;
  IteratorWrapper it([&](std::stop_token stop, Sink<int>& sink) {
    sink.put(1);
    began.open();
    go.wait();
    EXPECT_TRUE(stop.stop_requested());
    over = true;
  });
  EXPECT_EQ(co_await it.next(), 1);
  began.wait();
  auto closing = it.close();
  EXPECT_FALSE(over);
  go.open();
  co_await closing;
  EXPECT_TRUE(over);
}
TEST(Iterable, I19_CloseWaitsForAProducerThatIsBusyElsewhere) { run(close_waits()); }

Task<> close_again() {
  std::atomic<int> alive = 0;
  IteratorWrapper it(endless(alive), {.max_size = 1});
  EXPECT_EQ(co_await it.next(), 0);
  for (int i = 0; i < 3; ++i) co_await it.close();
  auto a = it.close();
  auto b = it.close();
  co_await b;
  co_await a;
}
TEST(Iterable, I20_CloseIsIdempotent) { run(close_again()); }

Task<> close_unstarted() {
  std::atomic<int> calls = 0;
  IteratorWrapper it([&calls] {
    ++calls;
    return std::vector<int>{1};
  });
  co_await it.close();
  EXPECT_FALSE((co_await it.next()).has_value());
  EXPECT_EQ(calls, 0);
}
TEST(Iterable, I21_D07_CloseBeforeTheStartReturnsAtOnce) { run(close_unstarted()); }
TEST(Iterable, I22_ItIsNotCalledAfterwards) { run(close_unstarted()); }

Task<> discard_buffered() {
  Gate put;
  IteratorWrapper it([&put](Sink<int>& sink) {
    for (int i = 0; i < 5; ++i) sink.put(i);
    put.open();
  });
  EXPECT_EQ(co_await it.next(), 0);
  put.wait();
  (void)it.close();
  EXPECT_FALSE((co_await it.next()).has_value());
  EXPECT_FALSE((co_await it.next()).has_value());
  EXPECT_TRUE((co_await it.next_batch(3)).empty());
}
TEST(Iterable, I23_CloseDiscardsWhatIsBuffered) { run(discard_buffered()); }

Task<> throw_in_with(std::atomic<int>& alive, int consume) {
  IteratorWrapper it(endless(alive), {.max_size = 1});
  co_await with(std::move(it), [&](IteratorWrapper<int>& stream) -> Task<> {
    for (int i = 0; i < consume; ++i) co_await stream.next();
    throw std::runtime_error("body");
  });
}
TEST(Iterable, I25_N02_LeavingWithWaitsForTheCleanup) {
  for (const int consume : {0, 1, 5}) {
    std::atomic<int> alive = 0;
    auto loop = tests::make_loop();
    EXPECT_THROW(loop->run(throw_in_with(alive, consume)), std::runtime_error);
    EXPECT_EQ(alive, 0);
  }
}

Task<> cancel_in_with() {
  std::atomic<int> alive = 0;
  Gate go;
  auto body = spawn([&]() -> Task<> {
    IteratorWrapper it([&](Sink<int>& sink) {
      const Counted counted(alive);
      sink.put(1);
      go.wait();
      sink.put(2);
    });
    co_await with(std::move(it), [](IteratorWrapper<int>& stream) -> Task<> {
      co_await stream.next();
      co_await stream.next();
    });
  });
  while (alive == 0) co_await yield();
  co_await tests::settle();
  body.cancel();
  go.open();
  EXPECT_THROW(co_await std::move(body), Cancelled);
  EXPECT_EQ(alive, 0);
}
TEST(Iterable, I24_ACancelInWithWaitsForTheCleanup) { run(cancel_in_with()); }

Task<> drop_after_one(Count& ended) {
  {
    IteratorWrapper it([&ended](Sink<int>& sink) {
      try {
        for (int i = 0;; ++i) sink.put(i);
      } catch (const ChannelClosed&) {
        ended.add();
        throw;
      }
    }, {.max_size = 1});
    co_await it.next();
  }
  ended.wait_for(1);
}
TEST(Iterable, I26_DroppingStopsTheProducer) {
  Count ended;
  run(drop_after_one(ended));
}

Task<> drop_elsewhere() {
  std::atomic<int> alive = 0;
  auto it = std::make_unique<IteratorWrapper<int>>(endless(alive), IterableOptions{.max_size = 1});
  EXPECT_EQ(co_await it->next(), 0);
  auto closing = it->close();
  std::thread other([&it] { it.reset(); });
  co_await closing;
  EXPECT_EQ(alive, 0);
  other.join();
}
TEST(Iterable, I27_D06_DroppingOnAForeignThread) {
  for (int i = 0; i < 50; ++i) run(drop_elsewhere());
}

Task<IteratorWrapper<int>> started(std::atomic<int>& alive) {
  IteratorWrapper it(endless(alive), {.max_size = 1});
  EXPECT_EQ(co_await it.next(), 0);
  co_return it;
}
TEST(Iterable, I28_TheLoopsEndStopsAStreamThatIsStillHeld) {
  std::atomic<int> alive = 0;
  auto loop = tests::make_loop();
  auto it = loop->run(started(alive));
  EXPECT_EQ(alive, 1);
  loop.reset();
  EXPECT_EQ(alive, 0);
  EXPECT_TRUE(it.closed());
  run([](IteratorWrapper<int>& stream) -> Task<> {
    EXPECT_FALSE((co_await stream.next()).has_value());
    co_await stream.close();
  }(it));
}

Task<> close_under_next() {
  Gate go;
  std::atomic<bool> over = false;
  IteratorWrapper it([&](Sink<int>& sink) {
    sink.put(1);
    go.wait();
    over = true;
  });
  EXPECT_EQ(co_await it.next(), 1);
  auto waiting = spawn([&]() -> Task<> {
    EXPECT_FALSE((co_await it.next()).has_value());
    EXPECT_TRUE(over);
  });
  co_await tests::settle();
  (void)it.close();
  co_await tests::settle();
  EXPECT_FALSE(waiting.done());
  go.open();
  co_await std::move(waiting);
}
TEST(Iterable, I30_CloseEndsAPendingNextWhenTheProducerHasEnded) { run(close_under_next()); }

Task<> drop_under_next() {
  Gate go;
  auto it = std::make_unique<IteratorWrapper<int>>([&go](Sink<int>&) { go.wait(); });
  auto waiting = spawn([&]() -> Task<> { EXPECT_FALSE((co_await it->next()).has_value()); });
  co_await tests::settle();
  it.reset();
  go.open();
  co_await std::move(waiting);
}
TEST(Iterable, I30_DroppingUnderAPendingNext) { run(drop_under_next()); }

Task<> withdraw(ThreadPool& pool, bool close, bool with_waiter) {
  Gate go, busy;
  auto blocker = threaded([&] {
    busy.open();
    go.wait();
  }).on(pool);
  Call<void> blocked = blocker();
  busy.wait();
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  auto it = std::make_unique<IteratorWrapper<int>>([held = std::move(held)] { return std::vector<int>{*held}; },
                                                   IterableOptions{.executor = &pool});
  auto waiting = spawn([&]() -> Task<> {
    if (with_waiter) {
      EXPECT_FALSE((co_await it->next()).has_value());
      co_return;
    }
    try {
      co_await it->next();
      ADD_FAILURE();
    } catch (const Cancelled&) {
    }
  });
  co_await tests::settle();
  if (!with_waiter) {
    waiting.cancel();
    co_await std::move(waiting);
  }
  if (close) {
    co_await it->close();  // although the pool's only thread is busy
  } else {
    it.reset();
  }
  EXPECT_TRUE(watch.expired());
  if (with_waiter) co_await std::move(waiting);
  go.open();
  co_await std::move(blocked);
}
TEST(Iterable, I32_AProducerThatIsStillQueuedIsWithdrawnAtOnce) {
  ThreadPool pool({.size = 1});
  for (const bool close : {true, false}) {
    for (const bool with_waiter : {true, false}) run(withdraw(pool, close, with_waiter));
  }
}

Task<> idle_streams_park_nobody(int count) {
  ThreadPool pool({.size = 1});
  std::atomic<int> alive = 0;
  std::vector<IteratorWrapper<int>> streams;
  for (int i = 0; i < count; ++i) {
    streams.push_back(threaded_iterable(endless(alive), {.max_size = 1, .executor = &pool})());
    EXPECT_EQ(co_await streams.back().next(), 0);  // on a spare thread: the ones before are parked
  }
  std::vector<internal::StreamClosing> closings;
  for (auto& stream : streams) closings.push_back(stream.close());
  for (auto& closing : closings) co_await closing;
  EXPECT_EQ(alive, 0);
}
TEST(Iterable, I33_N21_ClosingManyTakesNoThreads) { run(idle_streams_park_nobody(20)); }

// Everything that can happen to a stream, at random moments.
Task<> storm(unsigned seed, std::atomic<int>& alive) {
  std::mt19937 random(seed);
  std::vector<std::thread> droppers;
  for (int round = 0; round < 40; ++round) {
    auto it = std::make_unique<IteratorWrapper<int>>(endless(alive), IterableOptions{.max_size = 1 + random() % 3});
    if (random() % 8 != 0) co_await it->next();
    for (unsigned i = random() % 20; i > 0; --i) co_await it->next();
    switch (random() % 5) {
      case 0:
        co_await it->close();
        break;
      case 1:
        (void)it->close();
        break;
      case 2:
        droppers.emplace_back([dropped = std::move(it)]() mutable { dropped.reset(); });
        break;
      case 3: {
        auto reader = spawn([&it]() -> Task<> {
          while (co_await it->next()) {
          }
        });
        for (unsigned i = random() % 4; i > 0; --i) co_await yield();
        reader.cancel();
        try {
          co_await std::move(reader);
        } catch (const Cancelled&) {
        }
        break;
      }
      default:
        break;
    }
  }
  for (auto& dropper : droppers) dropper.join();
}
TEST(Iterable, D08_D14_AStormOfClosesDropsAndCancelsLeavesNothingBehind) {
  for (int seed = 0; seed < testing::storm(10); ++seed) {
    std::atomic<int> alive = 0;
    run(storm(seed, alive));
    EXPECT_EQ(alive, 0) << "seed " << seed;
  }
}

}  // namespace
}  // namespace weir
