#include "weir/runtime/timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace weir::internal {
namespace {

constexpr size_t kNoBudget = std::numeric_limits<size_t>::max();
constexpr int64_t kTick = int64_t{1} << 10;

class TestTimer final : public Timer {
 public:
  TestTimer() = default;
  TestTimer(int number, std::vector<int>* order) : number_(number), order_(order) {}

  void fire() noexcept override {
    EXPECT_FALSE(armed());
    if (order_ != nullptr) order_->push_back(number_);
    if (then) then();
  }

  std::function<void()> then;

 private:
  int number_ = 0;
  std::vector<int>* order_ = nullptr;
};

std::vector<std::unique_ptr<TestTimer>> make_timers(int count, std::vector<int>* order) {
  std::vector<std::unique_ptr<TestTimer>> timers;
  for (int i = 0; i < count; ++i) timers.push_back(std::make_unique<TestTimer>(i, order));
  return timers;
}

// One call may end early, to keep turns short: until nothing is due any more.
size_t fire_all(Timers& timers, int64_t now, size_t budget = kNoBudget) {
  size_t fired = timers.fire(now, budget);
  while (timers.next_deadline() <= now) fired += timers.fire(now, budget);
  return fired;
}

TEST(TimersTest, EmptyHasNoDeadline) {
  Timers timers;
  EXPECT_EQ(timers.size(), 0u);
  EXPECT_EQ(timers.next_deadline(), kNoDeadline);
  EXPECT_EQ(timers.fire(123, kNoBudget), 0u);
  TestTimer timer;
  EXPECT_FALSE(timer.armed());
  timers.cancel(timer);
  EXPECT_EQ(timers.size(), 0u);
}

TEST(TimersTest, FiresAtItsDeadlineNotBefore) {
  for (const int64_t deadline : {int64_t{1}, kTick - 1, kTick, kTick + 1, 64 * kTick, 64 * kTick - 1, int64_t{1} << 40,
                                 (int64_t{1} << 62) + 12345, kNoDeadline - 1}) {
    Timers timers;
    std::vector<int> order;
    TestTimer timer(1, &order);
    timers.arm(timer, deadline);
    EXPECT_TRUE(timer.armed());
    EXPECT_EQ(timer.deadline(), deadline);
    EXPECT_EQ(timers.size(), 1u);
    EXPECT_EQ(timers.next_deadline(), deadline);
    EXPECT_EQ(timers.fire(deadline - 1, kNoBudget), 0u);
    EXPECT_EQ(timers.next_deadline(), deadline);
    EXPECT_EQ(timers.fire(deadline, kNoBudget), 1u);
    EXPECT_EQ(order, std::vector<int>{1});
    EXPECT_EQ(timers.size(), 0u);
    EXPECT_EQ(timers.next_deadline(), kNoDeadline);
  }
}

TEST(TimersTest, AnIdleWheelWakesForDeadlinesOnly) {
  Timers timers(1'000'000'000'000);
  TestTimer timer;
  const int64_t deadline = 1'060'000'123'456;
  timers.arm(timer, deadline);
  // However far the deadline, moves between levels need no wake-up of their own.
  EXPECT_EQ(timers.next_deadline(), deadline);
  timers.fire(1'000'500'000'000, kNoBudget);
  EXPECT_EQ(timers.next_deadline(), deadline);
  timers.cancel(timer);
  EXPECT_EQ(timers.next_deadline(), kNoDeadline);
}

TEST(TimersTest, PastDeadlinesFireNext) {
  Timers timers(1000 * kTick);
  std::vector<int> order;
  const auto all = make_timers(4, &order);
  timers.arm(*all[0], 5);
  timers.arm(*all[1], -7);
  timers.arm(*all[2], std::numeric_limits<int64_t>::min());
  timers.arm(*all[3], 0);
  EXPECT_EQ(timers.next_deadline(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(timers.fire(1000 * kTick, kNoBudget), 4u);
  EXPECT_EQ(order, (std::vector<int>{2, 1, 3, 0}));
}

TEST(TimersTest, InfiniteDeadlinesNeverFire) {
  Timers timers;
  TestTimer timer;
  timers.arm(timer, kNoDeadline);
  EXPECT_TRUE(timer.armed());
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_EQ(timers.next_deadline(), kNoDeadline);
  EXPECT_EQ(timers.fire(kNoDeadline - 1, kNoBudget), 0u);
  EXPECT_EQ(timers.fire(kNoDeadline, kNoBudget), 0u);
  EXPECT_TRUE(timer.armed());
  timers.cancel(timer);
  EXPECT_FALSE(timer.armed());
}

TEST(TimersTest, OrderOfDeadlinesAcrossLevels) {
  Timers timers;
  std::vector<int> order;
  const auto all = make_timers(60, &order);
  for (int i = 59; i >= 0; --i) timers.arm(*all[i], int64_t{1} << i);
  EXPECT_EQ(timers.next_deadline(), 1);
  EXPECT_EQ(fire_all(timers, int64_t{1} << 59), 60u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TimersTest, EqualDeadlinesFireAsTheyWereArmed) {
  Timers timers;
  std::vector<int> order;
  const auto all = make_timers(300, &order);
  const int64_t deadline = 5000 * kTick + 17;
  // Armed at different distances, so that they come from different levels.
  for (int i = 0; i < 100; ++i) timers.arm(*all[i], deadline);
  timers.fire(4000 * kTick, kNoBudget);
  for (int i = 100; i < 200; ++i) timers.arm(*all[i], deadline);
  timers.fire(deadline - 1, kNoBudget);
  for (int i = 200; i < 300; ++i) timers.arm(*all[i], deadline);
  EXPECT_EQ(timers.fire(deadline, kNoBudget), 300u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TimersTest, ExactOrderWithinATick) {
  Timers timers;
  std::vector<int> order;
  const auto all = make_timers(1000, &order);
  std::vector<int> shuffled(1000);
  for (int i = 0; i < 1000; ++i) shuffled[i] = i;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(7));
  for (const int i : shuffled) timers.arm(*all[i], 100 * kTick + i);
  EXPECT_EQ(timers.fire(100 * kTick + 499, kNoBudget), 500u);
  EXPECT_EQ(timers.next_deadline(), 100 * kTick + 500);
  EXPECT_EQ(timers.fire(100 * kTick + 999, kNoBudget), 500u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TimersTest, ArmingAgainMovesItAndCountsAsLast) {
  Timers timers;
  std::vector<int> order;
  const auto all = make_timers(3, &order);
  for (const auto& timer : all) timers.arm(*timer, 1000);
  timers.arm(*all[0], 1000);
  EXPECT_EQ(timers.size(), 3u);
  EXPECT_EQ(timers.fire(1000, kNoBudget), 3u);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 0}));
  timers.arm(*all[0], 2000);
  timers.arm(*all[0], int64_t{1} << 40);
  EXPECT_EQ(timers.fire(2000, kNoBudget), 0u);
  timers.cancel(*all[0]);
}

TEST(TimersTest, CancelInsideFire) {
  Timers timers;
  std::vector<int> order;
  const auto all = make_timers(5, &order);
  for (int i = 0; i < 5; ++i) timers.arm(*all[i], i < 3 ? 1000 : int64_t{1} << (20 + i));
  all[0]->then = [&] {
    timers.cancel(*all[1]);
    timers.cancel(*all[4]);
    timers.cancel(*all[0]);
  };
  EXPECT_EQ(fire_all(timers, int64_t{1} << 30), 3u);
  EXPECT_EQ(order, (std::vector<int>{0, 2, 3}));
  EXPECT_EQ(timers.size(), 0u);
}

TEST(TimersTest, DestroyInsideFire) {
  Timers timers;
  std::vector<int> order;
  auto all = make_timers(3, &order);
  for (const auto& timer : all) timers.arm(*timer, 1000);
  all[0]->then = [&] {
    timers.cancel(*all[2]);
    all[2].reset();
  };
  all[1]->then = [&] {
    std::function<void()> keep = std::move(all[1]->then);
    all[1].reset();
  };
  EXPECT_EQ(timers.fire(1000, kNoBudget), 2u);
  EXPECT_EQ(order, (std::vector<int>{0, 1}));
}

TEST(TimersTest, ArmInsideFireGoesWhereItBelongs) {
  Timers timers;
  std::vector<int> order;
  const auto all = make_timers(5, &order);
  timers.arm(*all[0], 100);
  timers.arm(*all[2], 300);
  timers.arm(*all[4], 3 * kTick);
  all[0]->then = [&] {
    timers.arm(*all[1], 200);
    timers.arm(*all[3], 2 * kTick);
  };
  EXPECT_EQ(timers.fire(4 * kTick, kNoBudget), 5u);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(TimersTest, TheBudgetEndsATimerThatArmsItselfForEver) {
  Timers timers;
  TestTimer greedy;
  int other_fired = 0;
  TestTimer other;
  other.then = [&] { ++other_fired; };
  greedy.then = [&] { timers.arm(greedy, 1000); };
  timers.arm(greedy, 1000);
  timers.arm(other, 1000);
  EXPECT_EQ(timers.fire(5000, 10), 10u);
  EXPECT_EQ(other_fired, 1);  // it was armed before the second round of the greedy one
  EXPECT_LE(timers.next_deadline(), 5000);
  EXPECT_EQ(timers.fire(5000, 0), 0u);
  timers.cancel(greedy);
}

TEST(TimersTest, TheRestFiresAtTheNextCall) {
  Timers timers;
  std::vector<int> order;
  const auto all = make_timers(100, &order);
  for (int i = 0; i < 100; ++i) timers.arm(*all[i], i * 10'000);
  size_t fired = 0;
  for (int i = 0; i < 10; ++i) {
    EXPECT_LE(timers.next_deadline(), 1'000'000);
    fired += timers.fire(1'000'000, 10);
  }
  EXPECT_EQ(fired, 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TimersTest, TimeThatStandsStillOrGoesBack) {
  Timers timers(1000 * kTick);
  TestTimer timer;
  timers.arm(timer, 2000 * kTick);
  EXPECT_EQ(timers.fire(1500 * kTick, kNoBudget), 0u);
  EXPECT_EQ(timers.fire(1400 * kTick, kNoBudget), 0u);
  timers.advance(100);
  EXPECT_EQ(timers.next_deadline(), 2000 * kTick);
  EXPECT_EQ(timers.fire(2000 * kTick, kNoBudget), 1u);
}

// The obvious implementation: what Timers must be indistinguishable from.
class Model {
 public:
  void arm(int timer, int64_t deadline) {
    cancel(timer);
    where_[timer] = by_deadline_.emplace(deadline, timer);
  }
  void cancel(int timer) {
    const auto found = where_.find(timer);
    if (found == where_.end()) return;
    by_deadline_.erase(found->second);
    where_.erase(found);
  }
  int64_t next_deadline() const { return by_deadline_.empty() ? kNoDeadline : by_deadline_.begin()->first; }
  size_t size() const { return by_deadline_.size(); }
  int first() const { return by_deadline_.begin()->second; }

 private:
  std::multimap<int64_t, int> by_deadline_;
  std::map<int, std::multimap<int64_t, int>::iterator> where_;
};

// One seed: random arms, cancels, and fires with actions inside, against the model.
void run_against_model(uint32_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t limit) { return static_cast<int64_t>(random() % static_cast<uint64_t>(limit)); };
  const int64_t reach = int64_t{1} << (4 + below(44));
  int64_t now = below(3) == 0 ? 0 : below(int64_t{1} << 61);
  Timers timers(below(2) == 0 ? 0 : now);
  Model model;
  constexpr int kCount = 200;
  std::vector<TestTimer> all(kCount);

  const auto deadline = [&]() -> int64_t {
    switch (below(12)) {
      case 0: return now;
      case 1: return now - below(reach);
      case 2: return kNoDeadline;
      case 3: return now + below(4);
      case 4: return now + below(int64_t{1} << below(61));
      default: return now + below(reach);
    }
  };
  const auto act = [&] {
    const int i = static_cast<int>(below(kCount));
    if (below(3) == 0) {
      timers.cancel(all[i]);
      model.cancel(i);
    } else {
      const int64_t at = deadline();
      timers.arm(all[i], at);
      model.arm(i, at);
    }
  };
  bool wrong = false;
  for (int i = 0; i < kCount; ++i) {
    all[i].then = [&, i] {
      wrong = wrong || model.size() == 0 || model.first() != i || model.next_deadline() > now;
      model.cancel(i);
      for (int64_t n = below(3); n > 0; --n) act();
    };
  }
  for (int step = 0; step < 400 && !wrong; ++step) {
    for (int64_t n = below(20); n > 0; --n) act();
    ASSERT_EQ(timers.size(), model.size());
    ASSERT_LE(timers.next_deadline(), model.next_deadline());
    now += below(4) == 0 ? below(int64_t{1} << below(50)) : below(reach / 4 + 1);
    const size_t budget = below(3) == 0 ? static_cast<size_t>(below(8)) : 400;
    const size_t fired = timers.fire(now, budget);
    ASSERT_LE(fired, budget);
    ASSERT_FALSE(wrong) << "step " << step;
    if (fired < budget) {
      ASSERT_GT(model.next_deadline(), now) << "step " << step;
    }
  }
  for (TestTimer& timer : all) timers.cancel(timer);
  EXPECT_EQ(timers.size(), 0u);
  EXPECT_EQ(timers.next_deadline(), kNoDeadline);
}

TEST(TimersTest, AgreesWithAModel) {
  for (uint32_t seed = 1; seed <= 200 && !testing::Test::HasFailure(); ++seed) run_against_model(seed);
}

TEST(TimersTest, SleepingUntilNextDeadlineMissesNothing) {
  std::mt19937_64 random(3);
  Timers timers(1'000'000'000);
  std::vector<TestTimer> all(500);
  int64_t now = 1'000'000'000;
  size_t wakeups = 0;
  for (TestTimer& timer : all) {
    timer.then = [&timer, &now] { EXPECT_EQ(timer.deadline(), now); };
    timers.arm(timer, now + static_cast<int64_t>(random() % 100'000'000'000));
  }
  while (timers.size() > 0) {
    ASSERT_GT(timers.next_deadline(), now);
    now = timers.next_deadline();
    timers.fire(now, kNoBudget);
    ++wakeups;
  }
  EXPECT_EQ(wakeups, 500u);
}

struct CountingTimer final : Timer {
  void fire() noexcept override {
    *in_order = *in_order && *last <= deadline();
    *last = deadline();
  }
  int64_t* last = nullptr;
  bool* in_order = nullptr;
};

TEST(TimersTest, AMillion) {
  static_assert(sizeof(Timer) <= 56);
  constexpr int kCount = 1'000'000;
  std::mt19937_64 random(11);
  Timers timers(kTick);
  std::vector<CountingTimer> all(kCount);
  int64_t last = 0;
  bool in_order = true;
  for (CountingTimer& timer : all) {
    timer.last = &last;
    timer.in_order = &in_order;
    timers.arm(timer, kTick + static_cast<int64_t>(random() % 10'000'000'000));
  }
  for (int i = 0; i < kCount; i += 2) timers.cancel(all[i]);
  EXPECT_EQ(timers.size(), static_cast<size_t>(kCount / 2));
  EXPECT_EQ(fire_all(timers, 20'000'000'000, 256), static_cast<size_t>(kCount / 2));
  EXPECT_TRUE(in_order);
  // All at once, at one moment.
  for (CountingTimer& timer : all) timers.arm(timer, 30'000'000'000);
  EXPECT_EQ(fire_all(timers, 30'000'000'000, 256), static_cast<size_t>(kCount));
  EXPECT_EQ(timers.size(), 0u);
}

TEST(TimersTest, ManyInOneSlotAreMovedInSteps) {
  Timers timers;
  constexpr int kCount = 20'000;
  std::vector<int> order;
  const auto all = make_timers(kCount, &order);
  for (int i = 0; i < kCount; ++i) timers.arm(*all[i], 70 * kTick + i);
  // Cancelled, and armed, while the slot is half moved.
  EXPECT_EQ(timers.fire(71 * kTick, kNoBudget), 0u);
  EXPECT_LE(timers.next_deadline(), 70 * kTick);
  for (int i = 0; i < kCount; i += 3) timers.cancel(*all[i]);
  for (int i = 0; i < kCount; i += 6) timers.arm(*all[i], 70 * kTick + i);
  const size_t armed = timers.size();
  EXPECT_EQ(fire_all(timers, 70 * kTick + kCount), armed);
  EXPECT_EQ(order.size(), armed);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TimersTest, WhatIsArmedWhileASlotIsHalfMovedCountsForTheNextDeadline) {
  Timers timers(1);
  constexpr int64_t kSecond = 1'000'000'000;
  constexpr int64_t now = 17'300'000'000;  // in the first tenth of a slot of 17 s, which ends far behind it
  const auto late = make_timers(5'000, nullptr);
  for (const auto& timer : late) timers.arm(*timer, 30 * kSecond);
  EXPECT_EQ(timers.fire(now, kNoBudget), 0u);
  TestTimer soon;
  timers.arm(soon, now + 10'000'000);
  EXPECT_LE(timers.next_deadline(), soon.deadline());
  timers.cancel(soon);
  for (const auto& timer : late) timers.cancel(*timer);
  timers.arm(soon, now + 20'000'000);
  EXPECT_LE(timers.next_deadline(), soon.deadline()) << "a slot that was emptied counts no more";
  EXPECT_GT(timers.next_deadline(), now);
  timers.cancel(soon);
}

TEST(TimersTest, UnsettledOnesCountFromTheTimeThatSettlesThem) {
  Timers timers(1'000);
  std::vector<int> order;
  const auto all = make_timers(6, &order);
  timers.arm(*all[0], 5'050);
  timers.arm_unsettled(*all[1], 100);
  timers.arm_unsettled(*all[2], 100);
  timers.arm_unsettled(*all[3], 10);
  timers.arm_unsettled(*all[4], kNoDeadline);
  timers.arm_unsettled(*all[5], 40);
  EXPECT_EQ(timers.size(), 6u);
  EXPECT_TRUE(timers.unsettled());
  timers.cancel(*all[5]);  // before it is settled: out of the middle
  EXPECT_FALSE(all[5]->armed());
  timers.arm(*all[3], 6'000);  // another deadline, a settled one
  timers.settle(5'000);
  EXPECT_FALSE(timers.unsettled());
  EXPECT_EQ(timers.next_deadline(), 5'050);
  EXPECT_EQ(timers.fire(5'099, kNoBudget), 1u);
  EXPECT_EQ(timers.fire(6'000, kNoBudget), 3u);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_TRUE(all[4]->armed());
  timers.cancel(*all[4]);
  EXPECT_EQ(timers.size(), 0u);
}

TEST(TimersTest, AnUnsettledRingIsLeftFromBothEnds) {
  Timers timers;
  const auto all = make_timers(3, nullptr);
  for (const auto& timer : all) timers.arm_unsettled(*timer, 1);
  timers.cancel(*all[0]);
  timers.cancel(*all[2]);
  EXPECT_TRUE(timers.unsettled());
  timers.cancel(*all[1]);
  EXPECT_FALSE(timers.unsettled());
  EXPECT_EQ(timers.size(), 0u);
  timers.settle(7);
  EXPECT_EQ(timers.next_deadline(), kNoDeadline);
}

}  // namespace
}  // namespace weir::internal
