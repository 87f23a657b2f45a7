// What a stream keeps, counts and refuses when its producer ends, its reader is cancelled, or its loop goes.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/iterable.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;

// --- what it keeps

ContextVar<std::shared_ptr<int>>& variable() {
  static auto& only = *new ContextVar<std::shared_ptr<int>>("StreamEnd", nullptr);
  return only;
}

Task<> keeps_nothing() {
  auto in_context = std::make_shared<int>(1), captured = std::make_shared<int>(2), argument = std::make_shared<int>(3);
  const std::vector<std::weak_ptr<int>> watches{in_context, captured, argument};
  std::optional token(variable().set(std::move(in_context)));
  auto producer = [own = std::move(captured)](const std::shared_ptr<int>& other) { return std::vector<int>{*own, *other}; };
  std::optional lines(threaded_iterable(std::move(producer)));
  auto it = (*lines)(std::move(argument));
  lines.reset();
  variable().reset(*token);
  token.reset();
  for (const auto& watch : watches) EXPECT_FALSE(watch.expired());
  while (co_await it.next()) {
  }
  co_await it.close();
  for (std::size_t i = 0; i < watches.size(); ++i) EXPECT_TRUE(watches[i].expired()) << i;
}
TEST(StreamEnd, AStreamThatHasEndedKeepsNothingOfItsProducer) { run(keeps_nothing()); }

// The producer outlives the patience of its loop, and the stream goes with it.
TEST(StreamEnd, AStreamThatOutlivesItsLoopIsGoneInTheEnd) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  Gate put, go;
  {
    auto loop = tests::make_loop();
    internal::BridgeAnnex::of(internal::LoopAccess::engine(*loop)).set_patience(absl::ZeroDuration());
    loop->run([](Gate& filled, Gate& open, std::shared_ptr<int> item) -> Task<> {
      IteratorWrapperSeparate it([&filled, &open, item = std::move(item)](Sink<std::shared_ptr<int>>& sink) mutable {
        sink.put(nullptr);
        sink.put(std::move(item));
        filled.open();
        open.wait();
      });
      (void)co_await it.next();
      filled.wait();
    }(put, go, std::move(held)));
  }
  go.open();
  while (!watch.expired()) std::this_thread::yield();
}

// --- what it counts

Task<> failures(ThreadPool& pool) {
  auto failing = threaded_iterable([]() -> std::vector<int> { throw std::runtime_error("no"); }).on(pool)();
  EXPECT_THROW((void)co_await failing.next(), std::runtime_error);
  auto endless = threaded_iterable([](Sink<int>& sink) {
    for (int i = 0;; ++i) sink.put(i);
  }, {.max_size = 1}).on(pool)();
  (void)co_await endless.next();
  co_await endless.close();
}
TEST(StreamEnd, AFailureIsCountedAndACloseIsNone) {
  ThreadPool pool({.size = 1});
  run(failures(pool));
  pool.shutdown();
  EXPECT_EQ(pool.stats().done, 2u);
  EXPECT_EQ(pool.stats().failed, 1u);
}

// How often another task comes to its turn, until `over`.
Task<int> count_turns(const bool& over) {
  int turns = 0;
  while (!over) {
    ++turns;
    co_await yield();
  }
  co_return turns;
}

Task<> ready_items() {
  constexpr int kItems = 20'000;
  IteratorWrapper it([] {
    std::vector<int> items(kItems + 1);
    for (int i = 0; i <= kItems; ++i) items[static_cast<std::size_t>(i)] = i;
    return items;
  });
  EXPECT_EQ(co_await it.next(), 0);
  while (it.stats().put <= kItems) co_await yield();
  bool over = false;
  auto turns = spawn(count_turns(over));
  for (int i = 1; i <= kItems; ++i) EXPECT_EQ(co_await it.next(), i);
  over = true;
  const int count = co_await std::move(turns);
  EXPECT_GE(count, 10);
  EXPECT_LE(count, 1000);
}
TEST(StreamEnd, N14_ATurnForEachFewHundredItems) { run(ready_items()); }

Task<> waits_are_counted() {
  Gate go;
  IteratorWrapper it([&go](Sink<int>& sink) {
    go.wait();
    sink.put(1);
  });
  auto next = spawn([&]() -> Task<int> { co_return (co_await it.next()).value(); });
  co_await tests::settle();
  go.open();
  EXPECT_EQ(co_await std::move(next), 1);
  EXPECT_EQ(it.stats().reader_wakeups, 1u);
}
TEST(StreamEnd, I42_AWaitOfTheReaderIsCounted) { run(waits_are_counted()); }

// --- what it reports

Task<> see_the_end(IteratorWrapper<int>& it) {
  const std::optional<int> end = co_await it.next();
  EXPECT_FALSE(end.has_value());
}

// A producer that ends with an exception when its stream is closed.
template <class Fail>
std::vector<std::string> reports_of(Fail fail) {
  testing::TestLoop loop;
  loop.run([](Fail how) -> Task<> {
    Gate began;
    IteratorWrapper it([&how, &began](std::stop_token stop) -> std::vector<int> {
      began.open();
      Gate stopped;
      const std::stop_callback told(stop, [&stopped] { stopped.open(); });
      stopped.wait();
      how();
      return {};
    });
    auto next = spawn(see_the_end(it));
    co_await tests::settle();
    began.wait();
    co_await it.close();
    co_await std::move(next);
  }(fail));
  loop.destroy();
  return loop.reports();
}

TEST(StreamEnd, N24_OnlyAnEchoOfTheEndIsNotReported) {
  EXPECT_EQ(reports_of([] { throw std::runtime_error("no disk"); }), std::vector<std::string>{"threaded_iterable: no disk"});
  EXPECT_EQ(reports_of([] { throw ChannelClosed("put"); }), std::vector<std::string>());
  EXPECT_EQ(reports_of([] { throw LoopClosed("sync_await"); }), std::vector<std::string>());
  EXPECT_EQ(reports_of([] { throw Cancelled(); }), std::vector<std::string>());
}

// As many items at once as are taken without letting others run, then the end.
Task<> end_while_it_is_dropped() {
  constexpr int kCount = 1 + 255;  // the first one is waited for
  std::optional<IteratorWrapper<int>> it(std::in_place, [] { return std::vector<int>(kCount, 7); });
  EXPECT_EQ(co_await it->next(), 7);
  while (!it->closed()) co_await yield();
  const auto drop = [](std::optional<IteratorWrapper<int>>& stream) -> Task<> {
    stream.reset();
    co_return;
  };
  auto dropping = spawn(drop(it));
  for (int i = 1; i < kCount; ++i) {
    EXPECT_EQ(co_await it->next(), 7);
  }
  EXPECT_FALSE((co_await it->next()).has_value());
  co_await dropping;
}
TEST(StreamEnd, IsNotLookedForInAStreamThatIsGone) { run(end_while_it_is_dropped()); }

// --- what it refuses

TEST(StreamEnd, AMovedFromStreamIsClosedAndHasNoNext) {
  IteratorWrapper it([] { return std::vector<int>{1}; });
  const auto moved = std::move(it);
  EXPECT_TRUE(it.closed());
  EXPECT_FALSE(moved.closed());
  EXPECT_THROW((void)it.next(), std::logic_error);
  EXPECT_THROW((void)it.stats(), std::logic_error);
  (void)it.close();
}

Task<> cancelled_tasks() {
  Gate go;
  IteratorWrapper it([&go](Sink<int>& sink) {
    sink.put(1);
    go.wait();
  });
  EXPECT_EQ(co_await it.next(), 1);
  Event never;
  bool gave_up = false;
  auto closing = spawn([&]() -> Task<> {
    try {
      co_await never.wait();
    } catch (const Cancelled&) {
    }
    try {
      co_await it.close();
    } catch (const Cancelled&) {
      gave_up = true;
    }
  });
  co_await tests::settle();
  closing.cancel();
  co_await tests::settle();
  EXPECT_TRUE(gave_up);  // the producer is still there
  go.open();
  co_await std::move(closing);
  co_await it.close();
}
TEST(StreamEnd, ACancelledTaskDoesNotWaitForTheEnd) { run(cancelled_tasks()); }

// The stop_token of a producer that pushes.
Task<> stops_a_pusher() {
  Gate stopped;
  IteratorWrapper it([&stopped](std::stop_token stop, Sink<int>& sink) {
    const std::stop_callback told(stop, [&stopped] { stopped.open(); });
    sink.put(1);
    stopped.wait();
  });
  EXPECT_EQ(co_await it.next(), 1);
  co_await it.close();
}
TEST(StreamEnd, TheStopTokenOfAProducerThatPushes) { run(stops_a_pusher()); }

Task<> stops_a_generator() {
  std::atomic<bool> possible = false, asked = false;
  auto it = threaded_iterable([&](std::stop_token stop) -> Generator<int> {
    possible = stop.stop_possible();
    co_yield 1;
    while (!stop.stop_requested()) std::this_thread::yield();
    asked = true;
  })();
  EXPECT_EQ(co_await it.next(), 1);
  EXPECT_TRUE(possible);
  if (possible) co_await it.close();
  EXPECT_EQ(asked, possible);
}
TEST(StreamEnd, TheStopTokenOfAGenerator) { run(stops_a_generator()); }

// --- a producer in sync_await

// Told once, by the cancel of what it waited for, it may use the loop for its cleanup.
Task<> cleanup_after_a_cancelled_wait() {
  Gate waits;
  std::atomic<int> cleaned = 0;
  auto it = threaded_iterable([&]() -> Generator<int> {
    co_yield 1;
    const auto forever = [&waits]() -> Task<> {
      waits.open();
      Event never;
      co_await never.wait();
    };
    const auto clean = []() -> Task<int> { co_return 5; };
    bool told = false;
    try {
      sync_await(forever);
    } catch (const Cancelled&) {
      told = true;
    }
    if (told) cleaned = sync_await(clean);
  })();
  EXPECT_EQ(co_await it.next(), 1);
  auto next = spawn([&]() -> Task<> { EXPECT_FALSE((co_await it.next()).has_value()); });
  while (!waits.is_open()) co_await yield();
  co_await it.close();
  co_await std::move(next);
  EXPECT_EQ(cleaned, 5);
}
TEST(StreamEnd, AProducerWhoseWaitWasCancelledMayUseTheLoopAgain) { run(cleanup_after_a_cancelled_wait()); }

// A coroutine that ends in spite of the cancel tells the producer nothing: its next wait does.
Task<> told_by_the_next_wait() {
  Gate waits;
  std::atomic<int> finished = 0, told = 0;
  auto it = threaded_iterable([&]() -> Generator<int> {
    co_yield 1;
    const auto stubborn = [&waits]() -> Task<int> {
      waits.open();
      Event never;
      try {
        co_await never.wait();
      } catch (const Cancelled&) {
      }
      co_return 7;
    };
    const auto plain = []() -> Task<int> { co_return 5; };
    finished = sync_await(stubborn);
    try {
      (void)sync_await(plain);
    } catch (const Cancelled&) {
      ++told;
    }
  })();
  EXPECT_EQ(co_await it.next(), 1);
  auto next = spawn([&]() -> Task<> { EXPECT_FALSE((co_await it.next()).has_value()); });
  while (!waits.is_open()) co_await yield();
  co_await it.close();
  co_await std::move(next);
  EXPECT_EQ(finished, 7);
  EXPECT_EQ(told, 1);
}
TEST(StreamEnd, AProducerIsToldByTheFirstWaitThatIsCancelled) { run(told_by_the_next_wait()); }

Task<> plain_jobs_afterwards(ThreadPool& pool) {
  auto it = threaded_iterable([] { return std::vector<int>{1}; }).on(pool)();
  while (co_await it.next()) {
  }
  const auto in_a_stream = threaded([] { return internal::Interrupt::current() != nullptr; }).on(pool);
  EXPECT_FALSE(co_await in_a_stream());
}
TEST(StreamEnd, AThreadThatProducedIsAPlainOneAgain) {
  ThreadPool pool({.size = 1});
  run(plain_jobs_afterwards(pool));
  internal::Interrupt outer, inner;
  const internal::Interrupt::Scope one(outer);
  { const internal::Interrupt::Scope two(inner); }
  EXPECT_EQ(internal::Interrupt::current(), &outer);
}

// A cancel that comes before the task has begun, and one that comes when it has ended.
Task<> cancels_at_the_wrong_time() {
  internal::LoopControl& control = internal::thread_state.engine->control();
  const auto delivered = []() -> Task<> {
    Event taken;
    LoopHandle::current().post([&taken] { taken.set(); });
    co_await taken.wait();
  };
  const auto wait_for = [](Event& event) -> Task<> { co_await event.wait(); };
  Event never;

  auto* early = new internal::CancellableWait(control);
  early->retain();
  early->send();
  co_await delivered();
  auto task = spawn(wait_for(never));
  early->task_began(internal::JoinAccess::state(task));
  early->task_ended();
  early->release();
  EXPECT_THROW(co_await std::move(task), Cancelled);

  auto* late = new internal::CancellableWait(control);
  task = spawn(wait_for(never));
  late->task_began(internal::JoinAccess::state(task));
  late->task_ended();
  late->send();
  co_await delivered();
  co_await tests::settle();
  EXPECT_FALSE(task.done());
  never.set();
  co_await std::move(task);
}
TEST(StreamEnd, ACancelBeforeTheBeginOrAfterTheEnd) { run(cancels_at_the_wrong_time()); }

// --- the loop's list of what ends with it

class Bound final : public internal::LoopBound {
 public:
  void loop_goes() noexcept override { ++told; }
  int told = 0;
};

Task<> told_once(Bound& stays, Bound& leaves, Bound& late) {
  internal::BridgeAnnex& annex = internal::BridgeAnnex::of(*internal::thread_state.engine);
  annex.add(stays);
  annex.add(leaves);
  EXPECT_TRUE(annex.remove(leaves));
  EXPECT_FALSE(annex.remove(leaves));
  annex.close();
  EXPECT_EQ(stays.told, 1);
  EXPECT_FALSE(annex.remove(stays));
  annex.add(late);
  EXPECT_EQ(late.told, 1);
  EXPECT_FALSE(annex.remove(late));
  co_return;
}
TEST(StreamEnd, WhatIsBoundToALoopIsToldOnce) {
  Bound stays, leaves, late;
  run(told_once(stays, leaves, late));
  EXPECT_EQ(stays.told, 1);
  EXPECT_EQ(leaves.told, 0);
  EXPECT_EQ(late.told, 1);
}

}  // namespace
}  // namespace weir
