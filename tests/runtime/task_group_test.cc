#include "weir/runtime/task_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weir/runtime/context.h"
#include "weir/runtime/time.h"
#include "weir/runtime/timeout.h"
#include "weir/runtime/with.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TestLoop;

Task<> forever(int* cancelled = nullptr) {
  try {
    co_await sleep_for(absl::InfiniteDuration());
  } catch (const Cancelled&) {
    if (cancelled != nullptr) ++*cancelled;
    throw;
  }
}
Task<> fail(std::string what, int turns = 0) {
  for (int i = 0; i < turns; ++i) co_await yield();
  throw std::runtime_error(what);
}
Task<> fail_when_cancelled(std::string what) {
  try {
    co_await sleep_for(absl::InfiniteDuration());
  } catch (const Cancelled&) {
    throw std::runtime_error(what);
  }
}
Task<> yields(int turns, int& ended) {
  for (int i = 0; i < turns; ++i) co_await yield();
  ++ended;
}
Task<> turns(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

TEST(TaskGroupTest, JoinWaitsForAll) {
  TestLoop loop;
  int ended = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group;
    for (int i = 0; i < 10; ++i) group.spawn(yields(i, ended));
    EXPECT_EQ(group.size(), 10u);
    co_await group.join();
    EXPECT_EQ(ended, 10);
    EXPECT_EQ(group.size(), 0u);
    co_await group.join();
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(TaskGroupTest, TheFirstFailureCancelsTheRestAndJoinRethrowsIt) {
  TestLoop loop;
  int cancelled = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group;
    group.spawn(forever(&cancelled));
    group.spawn(fail("first", 2));
    group.spawn(fail_when_cancelled("later"));
    group.spawn(forever(&cancelled));
    try {
      co_await group.join();
      ADD_FAILURE() << "nothing thrown";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "first");
    }
    EXPECT_EQ(cancelled, 2);
    EXPECT_EQ(group.size(), 0u);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), ElementsAre("group: later"));
}

TEST(TaskGroupTest, InACancelledGroupATaskNeverStarts) {
  TestLoop loop;
  bool ran = false;
  const auto work = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto body = [&]() -> Task<> {
    TaskGroup group;
    group.cancel();
    group.spawn(work());
    co_await group.join();
  };
  loop.run(body());
  EXPECT_FALSE(ran);
}

TEST(TaskGroupTest, CancellingWhoJoinsCancelsAllAndWaits) {
  TestLoop loop;
  int cancelled = 0;
  const auto slow_end = [&]() -> Task<> {
    try {
      co_await sleep_for(absl::InfiniteDuration());
    } catch (const Cancelled&) {
      ++cancelled;
    }
  };
  const auto work = [&]() -> Task<> {
    TaskGroup group;
    group.spawn(forever(&cancelled));
    group.spawn(slow_end());
    co_await group.join();
    ADD_FAILURE() << "join() returned";
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(work());
    co_await turns(2);
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
    EXPECT_EQ(cancelled, 2);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(TaskGroupTest, CloseCancelsAndWaits) {
  TestLoop loop;
  int cancelled = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group;
    group.spawn(forever(&cancelled));
    group.spawn(fail_when_cancelled("while closing"));
    co_await turns(1);
    co_await group.close();
    EXPECT_EQ(group.size(), 0u);
    co_await group.close();
  };
  loop.run(body());
  EXPECT_EQ(cancelled, 1);
  EXPECT_THAT(loop.reports(), ElementsAre("group: while closing"));
}

TEST(TaskGroupTest, WithClosesIt) {
  TestLoop loop;
  int cancelled = 0;
  const auto fill = [&](TaskGroup& group) -> Task<int> {
    group.spawn(forever(&cancelled));
    co_await yield();
    co_return 5;
  };
  const auto body = [&]() -> Task<> {
    EXPECT_EQ(co_await with(TaskGroup(), fill), 5);
    EXPECT_EQ(cancelled, 1);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(TaskGroupTest, DestroyedWithLiveTasksCancelsThemAndReportsIt) {
  TestLoop loop;
  int cancelled = 0;
  const auto body = [&]() -> Task<> {
    {
      TaskGroup group;
      group.spawn(forever(&cancelled));
      group.spawn(forever(&cancelled));
      co_await yield();
    }
    co_await turns(3);
    EXPECT_EQ(cancelled, 2);
  };
  loop.run(body());
  const auto reports = loop.reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_THAT(reports[0], HasSubstr("run: weir: a TaskGroup was destroyed with live tasks"));
}

TEST(TaskGroupTest, AFailureThatNobodyJoinsIsReported) {
  TestLoop loop;
  std::optional<TaskGroup> outside;
  const auto body = [&]() -> Task<> {
    {
      TaskGroup group;
      group.spawn(fail("inside"));
      co_await turns(2);
    }
    outside.emplace();
    outside->spawn(fail("outside"));
    co_await turns(2);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), ElementsAre("group: inside"));
  outside.reset();  // no loop runs now
  EXPECT_THAT(loop.reports(), ElementsAre("group: inside", "group: outside"));
}

TEST(TaskGroupTest, AHandleMovedInIsCancelledWithTheGroup) {
  TestLoop loop;
  int cancelled = 0;
  const auto body = [&]() -> Task<> {
    for (const bool started : {true, false}) {
      TaskGroup group;
      group.spawn(spawn(forever(&cancelled)));
      if (started) {
        co_await turns(2);
      }
      co_await group.close();
    }
  };
  loop.run(body());
  EXPECT_EQ(cancelled, 2);
  EXPECT_EQ(loop->stats().tasks, 0u);
}

TEST(TaskGroupTest, MovedGroups) {
  TestLoop loop;
  int ended = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group({.limit = 1});
    group.spawn(yields(6, ended));
    auto place = spawn(group.spawn_when_free(yields(1, ended)));
    auto all = spawn(group.join());
    co_await yield();
    TaskGroup moved = std::move(group);
    EXPECT_EQ(moved.size(), 1u);
    EXPECT_EQ(group.size(), 0u);
    EXPECT_THROW(group.spawn(yields(1, ended)), std::logic_error);
    EXPECT_THROW((void)group.join(), std::logic_error);
    group.cancel();
    co_await place;
    co_await all;
    EXPECT_EQ(ended, 2);
    co_await moved.join();
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(TaskGroupTest, DestroyedWhileSomebodyWaits) {
  TestLoop loop;
  int cancelled = 0;
  const auto body = [&]() -> Task<> {
    auto group = std::make_unique<TaskGroup>(TaskGroupOptions{.limit = 1});
    group->spawn(forever(&cancelled));
    auto all = spawn(group->join());
    auto place = spawn(group->spawn_when_free(forever(&cancelled)));
    co_await turns(2);
    group.reset();
    EXPECT_THROW(co_await all, std::logic_error);
    EXPECT_THROW(co_await place, std::logic_error);
    co_await turns(2);
    EXPECT_EQ(cancelled, 1);
  };
  loop.run(body());
}

// --- places

TEST(TaskGroupTest, AtMostLimitRunAtOnceFirstComeFirstServed) {
  TestLoop loop;
  int running = 0;
  int most = 0;
  std::vector<int> order;
  const auto work = [&](int number) -> Task<> {
    order.push_back(number);
    most = std::max(most, ++running);
    co_await turns(3 + number % 3);
    --running;
  };
  const auto body = [&]() -> Task<> {
    TaskGroup group({.limit = 3});
    for (int i = 0; i < 50; ++i) co_await group.spawn_when_free(work(i));
    co_await group.join();
  };
  loop.run(body());
  EXPECT_EQ(most, 3);
  EXPECT_EQ(running, 0);
  ASSERT_EQ(order.size(), 50u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TaskGroupTest, ManyWaitersForAPlaceAreServedInOrder) {
  TestLoop loop;
  std::vector<int> order;
  const auto work = [&](int number) -> Task<> {
    order.push_back(number);
    co_await yield();
  };
  const auto body = [&]() -> Task<> {
    TaskGroup group({.limit = 1});
    TaskGroup waiters;
    for (int i = 0; i < 20; ++i) waiters.spawn(group.spawn_when_free(work(i)));
    co_await waiters.join();
    co_await group.join();
  };
  loop.run(body());
  ASSERT_EQ(order.size(), 20u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TaskGroupTest, AWaiterThatIsCancelledTakesNoPlace) {
  TestLoop loop;
  int ended = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group({.limit = 1});
    group.spawn(yields(8, ended));
    auto first = spawn(group.spawn_when_free(yields(1, ended)));
    auto second = spawn(group.spawn_when_free(yields(1, ended)));
    co_await turns(2);
    first.cancel();
    EXPECT_THROW(co_await first, Cancelled);
    co_await second;
    co_await group.spawn_when_free(yields(1, ended));
    co_await group.join();
  };
  loop.run(body());
  EXPECT_EQ(ended, 3);
}

// The waiter is cancelled in the very turn in which a place was given to it.
TEST(TaskGroupTest, APlaceThatWasGivenIsNotLost) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    for (int delay = 0; delay < 12; ++delay) {
      TaskGroup group({.limit = 1});
      group.spawn(turns(3));
      auto waiter = spawn(group.spawn_when_free(turns(1)));
      co_await turns(delay);
      waiter.cancel();
      int cancelled = 0;
      try {
        co_await waiter;
      } catch (const Cancelled&) {
        ++cancelled;
      }
      EXPECT_LE(cancelled, 1);
      const absl::Status free = co_await timeout(absl::Minutes(5), group.spawn_when_free(turns(1)));
      EXPECT_TRUE(free.ok()) << delay;
      co_await group.join();
    }
  };
  loop.run(body());
}

TEST(TaskGroupTest, JoinWaitsAlsoForThoseThatWereGivenAPlace) {
  TestLoop loop;
  int ended = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group({.limit = 1});
    group.spawn(yields(3, ended));
    for (const bool join_first : {true, false}) {
      JoinHandle<> all;
      if (join_first) all = spawn(group.join());
      co_await turns(join_first ? 1 : 0);
      auto place = spawn(group.spawn_when_free(yields(3, ended)));
      co_await yield();
      const int before = ended;
      if (!join_first) all = spawn(group.join());
      co_await all;
      EXPECT_EQ(ended, before + 2);
      co_await place;
      EXPECT_EQ(group.size(), 0u);
      group.spawn(yields(3, ended));
    }
    co_await group.join();
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

// An end that looked at all who wait would take five thousand million steps here.
TEST(TaskGroupTest, ManyWhoWaitForAPlaceCostNoMoreThanFew) {
  constexpr std::size_t kWaiting = 100'000;
  TestLoop loop;
  std::size_t ran = 0;
  const auto note = [&]() -> Task<> {
    ++ran;
    co_return;
  };
  const auto body = [&]() -> Task<> {
    TaskGroup group({.limit = 1});
    std::vector<JoinHandle<void>> waiting;
    for (std::size_t i = 0; i < kWaiting; ++i) waiting.push_back(spawn(group.spawn_when_free(note())));
    for (auto& handle : waiting) co_await handle;
    co_await group.join();
  };
  loop.run(body());
  EXPECT_EQ(ran, kWaiting);
}

TEST(TaskGroupTest, SnapshotsOfTheContext) {
  TestLoop loop;
  ContextVar<int> var("var", 0);
  std::vector<int> seen;
  const auto read = [&]() -> Task<> {
    seen.push_back(var.get());
    co_return;
  };
  const auto body = [&]() -> Task<> {
    TaskGroup group({.limit = 1});
    var.set(1);
    group.spawn(read());
    var.set(2);
    auto later = group.spawn_when_free(read());
    var.set(3);
    co_await std::move(later);
    co_await group.join();
    EXPECT_EQ(var.get(), 3);
  };
  loop.run(body());
  EXPECT_THAT(seen, ElementsAre(1, 2));
}

}  // namespace
}  // namespace weir
