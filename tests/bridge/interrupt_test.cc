#include "weir/bridge/interrupt.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;

// Opens `began` when it runs on the loop, and never ends by itself.
class Silence {
 public:
  Task<> wait() {
    const Gone mark(*this);
    began.open();
    Event never;
    co_await never.wait();
  }

  Gate began;
  std::atomic<bool> gone{false};

 private:
  class Gone {
   public:
    explicit Gone(Silence& silence) : silence_(silence) {}
    ~Gone() { silence_.gone = true; }

   private:
    Silence& silence_;
  };
};

// How a producer fares: what it saw, when it ended.
class Log {
 public:
  std::atomic<int> cancelled{0};
  std::atomic<bool> ended{false};
};

Task<> wait_for(Gate& gate) {
  while (!gate.is_open()) co_await sleep_for(absl::Microseconds(50));
}

enum class Ends { kClose, kDrop, kDropElsewhere };

Task<> a_producer_that_waits_on_the_loop(Ends ends) {
  Silence silence;
  Log log;
  std::optional<IteratorWrapper<int>> it;
  const auto producer = [&](Sink<int>& sink) {
    sink.put(1);
    try {
      sync_await([&silence] { return silence.wait(); });
    } catch (const Cancelled&) {
      EXPECT_TRUE(silence.gone);  // not before its frame is
      ++log.cancelled;
      log.ended = true;
      throw;
    }
  };
  it.emplace(producer, IterableOptions{});
  EXPECT_EQ(co_await it->next(), 1);
  co_await wait_for(silence.began);
  if (ends == Ends::kClose) {
    co_await it->close();
    EXPECT_TRUE(log.ended);
    EXPECT_EQ(co_await it->next(), std::nullopt);
  } else if (ends == Ends::kDrop) {
    it.reset();
  } else {
    std::thread([&it] { it.reset(); }).join();
  }
  while (!log.ended) co_await sleep_for(absl::Microseconds(50));
  EXPECT_EQ(log.cancelled, 1);
}
TEST(Interrupt, CloseEndsAProducerThatWaitsInSyncAwait) { run(a_producer_that_waits_on_the_loop(Ends::kClose)); }
TEST(Interrupt, DroppingTheStreamDoesToo) { run(a_producer_that_waits_on_the_loop(Ends::kDrop)); }
TEST(Interrupt, DroppingItOnAnotherThreadDoesToo) { run(a_producer_that_waits_on_the_loop(Ends::kDropElsewhere)); }

// A silent pipe, read as the tour reads its input: with() ends although not a byte comes.
Task<> a_silent_pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  Gate began;
  const auto bytes = threaded_iterable([&](int fd) -> Generator<char> {
    co_yield 'x';
    began.open();
    for (;;) {
      (void)sync_await(poll(fd, POLLIN));
      char byte = 0;
      if (::read(fd, &byte, 1) != 1) co_return;
      co_yield byte;
    }
  });
  const auto body = [&](IteratorWrapper<char>& it) -> Task<> {
    EXPECT_EQ(co_await it.next(), 'x');
    co_await wait_for(began);
  };
  co_await with(bytes(ends[0]), body);
  ::close(ends[0]);
  ::close(ends[1]);
}
TEST(Interrupt, AProducerOnASilentPipeEndsWithItsStream) { run(a_silent_pipe()); }

// Closed while the producer is elsewhere: its next sync_await is refused, those of its cleanup work.
Task<> closed_before_it_waits() {
  Silence silence;
  Gate began, closed;
  std::atomic<int> cleaned_up{0};
  const auto answer = []() -> Task<int> { co_return 42; };
  const auto producer = [&](Sink<int>& sink) {
    sink.put(1);
    began.open();
    closed.wait();
    try {
      sync_await([&silence] { return silence.wait(); });
      ADD_FAILURE() << "it waited";
    } catch (const Cancelled&) {
      cleaned_up = sync_await(answer);
      throw;
    }
  };
  IteratorWrapper<int> it(producer, IterableOptions{});
  EXPECT_EQ(co_await it.next(), 1);
  co_await wait_for(began);
  auto closing = it.close();
  closed.open();
  co_await closing;
  EXPECT_EQ(cleaned_up, 42);
  EXPECT_FALSE(silence.began.is_open());
}
TEST(Interrupt, AProducerThatIsClosedBeforeItWaitsDoesNotWait) { run(closed_before_it_waits()); }

// One that learned of the close by a put may use the loop on its way out.
Task<> cleanup_after_a_put() {
  std::atomic<int> cleaned_up{0};
  const auto answer = []() -> Task<int> {
    co_await yield();
    co_return 42;
  };
  class Cleanup {
   public:
    explicit Cleanup(std::function<void()> act) : act_(std::move(act)) {}
    ~Cleanup() { act_(); }

   private:
    std::function<void()> act_;
  };
  const auto numbers = threaded_iterable([&]() -> Generator<int> {
    const Cleanup cleanup([&] { cleaned_up = sync_await(answer); });
    for (int i = 0;; ++i) co_yield i;
  }, {.max_size = 1});
  auto it = numbers();
  EXPECT_EQ(co_await it.next(), 0);
  co_await it.close();
  EXPECT_EQ(cleaned_up, 42);
}
TEST(Interrupt, TheCleanupOfAProducerMayUseTheLoop) { run(cleanup_after_a_put()); }

// What must be finished is shielded, as anywhere.
Task<> shielded_work() {
  Gate began;
  Event disk_is_ready;
  bool finished = false;
  const auto commit = [&]() -> Task<> {
    began.open();
    co_await disk_is_ready.wait();
    finished = true;
  };
  const auto producer = [&](Sink<int>& sink) {
    sink.put(1);
    const auto shielded = [&] { return shield(commit()); };
    EXPECT_THROW(sync_await(shielded), Cancelled);
    EXPECT_TRUE(finished);
  };
  IteratorWrapper<int> it(producer, IterableOptions{});
  EXPECT_EQ(co_await it.next(), 1);
  co_await wait_for(began);
  auto closing = it.close();
  co_await sleep_for(absl::Nanoseconds(1));  // a turn: the cancel arrives
  EXPECT_FALSE(finished);
  disk_is_ready.set();
  co_await closing;
  EXPECT_TRUE(finished);
}
TEST(Interrupt, WhatIsShieldedFinishes) { run(shielded_work()); }

// W-10: a call that is no stream's is left alone.
Task<> calls_are_left_alone() {
  Gate began, go;
  Event over;
  std::atomic<int> got{0};
  const auto slow = [&]() -> Task<int> {
    began.open();
    co_await over.wait();
    co_return 7;
  };
  auto f = threaded([&] {
    got = sync_await(slow);
    go.open();
  });
  const auto caller = [&]() -> Task<> { co_await f(); };
  auto handle = spawn(caller());
  co_await wait_for(began);
  handle.cancel();
  EXPECT_THROW(co_await handle, Cancelled);
  over.set();
  co_await wait_for(go);
  EXPECT_EQ(got, 7);
}
TEST(Interrupt, W10_AThreadedCallIsNoStream) { run(calls_are_left_alone()); }

// Close at any moment of a producer that does little but wait.
Task<> storm(int rounds) {
  const auto moment = []() -> Task<int> {
    co_await yield();
    co_return 1;
  };
  for (int round = 0; round < rounds; ++round) {
    Silence silence;
    const auto producer = [&](Sink<int>& sink) {
      for (int i = 0; i < 20; ++i) {
        (void)sync_await(moment);
        if (i % 4 == 0) sink.put(i);
      }
      sync_await([&silence] { return silence.wait(); });
    };
    IteratorWrapper<int> it(producer, {.max_size = 1});
    EXPECT_EQ(co_await it.next(), 0);
    for (int i = round % 40; i != 0; --i) co_await yield();
    co_await it.close();
  }
}
TEST(Interrupt, AStormOfCloses) { run(storm(200 * testing::storm_factor())); }

}  // namespace
}  // namespace weir
