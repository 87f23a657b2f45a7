#include "weir/runtime/time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/spawn.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using testing::TestLoop;

int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

TEST(SleepTest, NeverEarly) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    for (const int64_t pause_ns : {1, 1'000, 70'000, 2'000'000}) {
      const int64_t before = now_ns();
      co_await sleep_for(absl::Nanoseconds(pause_ns));
      EXPECT_GE(now_ns() - before, pause_ns);
    }
    const absl::Time until = absl::Now() + absl::Milliseconds(2);
    const int64_t before = now_ns();
    co_await sleep_until(until);
    EXPECT_GE(now_ns() - before, 500'000);
  };
  loop.run(body());
}

TEST(SleepTest, ZeroAndNegativeOnesLetOthersRunAndGoOn) {
  TestLoop loop;
  std::vector<int> order;
  const auto note = [&](int number, absl::Duration pause) -> Task<> {
    order.push_back(number);
    co_await sleep_for(pause);
    order.push_back(number + 10);
  };
  const auto body = [&]() -> Task<> {
    co_await gather(note(1, absl::ZeroDuration()), note(2, absl::Seconds(-5)), note(3, -absl::InfiniteDuration()));
    co_await sleep_until(absl::InfinitePast());
    co_await sleep_until(absl::UnixEpoch());
  };
  loop.run(body());
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 11, 12, 13));
}

TEST(SleepTest, AnInfiniteOneWaitsForACancelWithoutATimer) {
  TestLoop loop;
  auto& timers = internal::LoopAccess::engine(*loop).timers();
  const auto for_ever = [](int kind) -> Task<> {
    if (kind == 0) {
      co_await sleep_for(absl::InfiniteDuration());
    } else if (kind == 1) {
      co_await sleep_until(absl::InfiniteFuture());
    } else {
      co_await sleep_for(absl::Hours(24 * 365 * 1000));
    }
  };
  const auto body = [&]() -> Task<> {
    for (int kind = 0; kind < 3; ++kind) {
      auto handle = spawn(for_ever(kind));
      co_await yield();
      EXPECT_EQ(timers.size(), 0u);
      EXPECT_FALSE(handle.done());
      handle.cancel();
      EXPECT_THROW(co_await handle, Cancelled);
    }
  };
  loop.run(body());
}

TEST(SleepTest, ACancelTakesTheTimerOutAtOnce) {
  TestLoop loop;
  auto& timers = internal::LoopAccess::engine(*loop).timers();
  const auto body = [&]() -> Task<> {
    auto handle = spawn(sleep_for(absl::Hours(1)));
    co_await yield();
    EXPECT_EQ(timers.size(), 1u);
    handle.cancel();
    EXPECT_EQ(timers.size(), 0u);
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop.run(body());
}

TEST(SleepTest, EndInTheOrderOfTheirDeadlines) {
  TestLoop loop;
  std::vector<int> order;
  const auto equal = [&](int number, int64_t deadline) -> Task<> {
    internal::SleepAwaiter sleep(deadline);
    co_await sleep;
    order.push_back(number);
  };
  const auto ties = [&]() -> Task<> {
    const int64_t base = now_ns() + 1'000'000;
    TaskGroup group;
    for (int i = 0; i < 100; ++i) group.spawn(equal(i, base + (i % 4 == 0 ? 0 : 5'000'000)));
    co_await group.join();
  };
  loop.run(ties());
  std::vector<int> expected;
  for (int i = 0; i < 100; i += 4) expected.push_back(i);
  for (int i = 0; i < 100; ++i) {
    if (i % 4 != 0) expected.push_back(i);
  }
  EXPECT_EQ(order, expected);
}

TEST(SleepTest, AMillionAtOnce) {
  TestLoop loop;
  constexpr int kTimers = 1'000'000;
  int ended = 0;
  // Timers as sleeps have them, without the memory of a million tasks.
  class Count final : public internal::Timer {
   public:
    void fire() noexcept override { ++*to; }
    int* to = nullptr;
  };
  std::vector<Count> counts(kTimers);
  const auto body = [&]() -> Task<> {
    auto& engine = internal::LoopAccess::engine(*loop);
    const int64_t base = now_ns() + 1'000'000;
    for (int i = 0; i < kTimers; ++i) {
      counts[static_cast<size_t>(i)].to = &ended;
      engine.timers().arm(counts[static_cast<size_t>(i)], base + int64_t{i} * 50);
    }
    internal::SleepAwaiter last(base + int64_t{kTimers} * 50);
    co_await last;
    EXPECT_EQ(ended, kTimers);
  };
  loop.run(body());
}

TEST(YieldTest, GoesToTheBackOfTheReadyQueue) {
  TestLoop loop;
  std::vector<int> order;
  const auto note = [&](int number) -> Task<> {
    for (int i = 0; i < 3; ++i) {
      order.push_back(number);
      co_await yield();
    }
  };
  const auto body = [&]() -> Task<> { co_await gather(note(1), note(2)); };
  loop.run(body());
  EXPECT_THAT(order, ElementsAre(1, 2, 1, 2, 1, 2));
}

TEST(YieldTest, AMillionBesideATimerThatIsStillServed) {
  TestLoop loop;
  bool slept = false;
  const auto sleeper = [&]() -> Task<> {
    co_await sleep_for(absl::Microseconds(100));
    slept = true;
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(sleeper());
    int yields = 0;
    while (yields < 1'000'000 || !slept) {
      co_await yield();
      ++yields;
    }
    EXPECT_TRUE(handle.done());
  };
  loop.run(body());
}

TEST(IntervalTest, KeepsTheBeat) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    constexpr int64_t kPeriod = 2'000'000;
    const int64_t start = now_ns();
    Interval beat{absl::Nanoseconds(kPeriod)};
    int64_t beats = 0;
    for (int i = 0; i < 5; ++i) {
      beats += 1 + co_await beat.tick();
      EXPECT_GE(now_ns(), start + beats * kPeriod) << "never early, and missed beats count";
    }
    // Come late by some periods.
    const int64_t late_until = start + (beats + 4) * kPeriod;
    while (now_ns() < late_until) {
    }
    const int64_t missed = co_await beat.tick();
    EXPECT_GE(missed, 2);
    beats += 1 + missed;
    EXPECT_GE(now_ns(), start + beats * kPeriod);
  };
  loop.run(body());
}

TEST(IntervalTest, ATickThatIsCancelledTakesNoBeat) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    Interval beat{absl::Hours(1)};
    const auto late = co_await timeout(absl::Milliseconds(1), beat.tick());
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
    const auto again = co_await timeout(absl::Milliseconds(1), beat.tick());
    EXPECT_EQ(again.status().code(), absl::StatusCode::kDeadlineExceeded);
    Interval beyond{absl::Hours(24 * 365 * 292)};
    EXPECT_FALSE((co_await timeout(absl::Milliseconds(1), beyond.tick())).ok());
    for (const absl::Duration wrong : {absl::ZeroDuration(), absl::Seconds(-1), absl::InfiniteDuration()}) {
      EXPECT_THROW(Interval{wrong}, std::invalid_argument);
    }
  };
  loop.run(body());
}

}  // namespace
}  // namespace weir
