#include "weir/runtime/gather.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "weir/runtime/context.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/small_stack.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::on_small_stack;
using testing::TestLoop;

Task<> turns(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}
Task<int> give(int number, int after = 0) {
  co_await turns(after);
  co_return number;
}
Task<> forever(int* cancelled) {
  try {
    co_await sleep_for(absl::InfiniteDuration());
  } catch (const Cancelled&) {
    ++*cancelled;
    throw;
  }
}
Task<int> fail(std::string what, int after = 0) {
  co_await turns(after);
  throw std::runtime_error(what);
}
Task<> fail_when_cancelled(std::string what) {
  try {
    co_await sleep_for(absl::InfiniteDuration());
  } catch (const Cancelled&) {
    throw std::runtime_error(what);
  }
}

TEST(GatherTest, GivesAllResultsInTheirOrder) {
  TestLoop loop;
  int target = 0;
  const auto pointer = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(9); };
  const auto reference = [&]() -> Task<int&> { co_return target; };
  const auto body = [&]() -> Task<> {
    std::tuple<int, std::monostate, std::unique_ptr<int>> all = co_await gather(give(1, 5), turns(2), pointer());
    EXPECT_EQ(std::get<0>(all), 1);
    EXPECT_EQ(*std::get<2>(all), 9);
    auto refs = co_await gather(reference());
    EXPECT_EQ(&std::get<0>(refs), &target);
    const auto [a, b] = co_await gather(spawn(give(3)), sleep_for(absl::ZeroDuration()));
    EXPECT_EQ(a, 3);
    static_assert(std::is_same_v<decltype(b), const std::monostate>);
  };
  loop.run(body());
}

TEST(GatherTest, Vectors) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 100; ++i) tasks.push_back(give(i, (100 - i) % 7));
    const std::vector<int> results = co_await gather(std::move(tasks));
    EXPECT_EQ(results.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(results[static_cast<size_t>(i)], i);
    EXPECT_TRUE((co_await gather(std::vector<Task<int>>())).empty());
    std::vector<Task<>> without;
    without.push_back(turns(3));
    co_await gather(std::move(without));
    co_await gather(std::vector<Task<>>());
    std::vector<JoinHandle<int>> handles;
    handles.push_back(spawn(give(4)));
    EXPECT_THAT(co_await gather(std::move(handles)), ElementsAre(4));
  };
  loop.run(body());
}

TEST(GatherTest, AStatusIsAResult) {
  TestLoop loop;
  const auto bad = []() -> Task<absl::Status> { co_return absl::NotFoundError("gone"); };
  const auto body = [&]() -> Task<> {
    const auto [status, number] = co_await gather(bad(), give(2, 4));
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(number, 2);
  };
  loop.run(body());
}

TEST(GatherTest, TheFirstFailureCancelsTheOthersAndWaitsForThem) {
  TestLoop loop;
  int cancelled = 0;
  bool slow_ended = false;
  const auto slow = [&]() -> Task<> {
    try {
      co_await sleep_for(absl::InfiniteDuration());
    } catch (const Cancelled&) {
    }
    slow_ended = true;
  };
  const auto body = [&]() -> Task<> {
    try {
      co_await gather(forever(&cancelled), fail("first", 2), fail_when_cancelled("later"), slow());
      ADD_FAILURE() << "nothing thrown";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "first");
    }
    EXPECT_EQ(cancelled, 1);
    EXPECT_TRUE(slow_ended);
    EXPECT_EQ(Loop::current().stats().tasks, 1u) << "only this one is left";
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), ElementsAre("gather: later"));
}

TEST(GatherTest, WhatHasNotStartedNeverRuns) {
  TestLoop loop;
  bool ran = false;
  const auto late = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto at_once = []() -> Task<> {
    throw std::runtime_error("at once");
    co_return;
  };
  const auto body = [&]() -> Task<> { EXPECT_THROW(co_await gather(at_once(), late()), std::runtime_error); };
  loop.run(body());
  EXPECT_FALSE(ran);
}

TEST(GatherTest, CancellingWhoAwaitsCancelsAllAndWaits) {
  TestLoop loop;
  int cancelled = 0;
  const auto work = [&]() -> Task<> {
    co_await gather(forever(&cancelled), forever(&cancelled), fail_when_cancelled("on the way"));
    ADD_FAILURE() << "gather() returned";
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(work());
    co_await turns(3);
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
    EXPECT_EQ(cancelled, 2);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), ElementsAre("gather: on the way"));
}

TEST(GatherTest, ResultsThatArrivedInSpiteOfACancelAreReturned) {
  TestLoop loop;
  int sum = 0;
  bool later_threw = false;
  const auto stubborn = [](int number) -> Task<int> {
    try {
      co_await sleep_for(absl::InfiniteDuration());
    } catch (const Cancelled&) {
    }
    co_return number;
  };
  const auto work = [&]() -> Task<> {
    const auto [a, b] = co_await gather(stubborn(1), stubborn(2));
    sum = a + b;
    try {
      co_await yield();
    } catch (const Cancelled&) {
      later_threw = true;
      throw;
    }
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(work());
    co_await turns(3);
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop.run(body());
  EXPECT_EQ(sum, 3);
  EXPECT_TRUE(later_threw);
}

TEST(GatherTest, AHandleMovedInIsCancelledWithItAtAnyMoment) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    for (int after = 0; after < 4; ++after) {
      int cancelled = 0;
      auto handle = spawn(forever(&cancelled));
      co_await yield();
      if (after % 2 == 0) {
        EXPECT_THROW(co_await gather(fail("x", after), std::move(handle)), std::runtime_error);
      } else {
        EXPECT_THROW(co_await gather(std::move(handle), fail("x", after)), std::runtime_error);
      }
      EXPECT_EQ(cancelled, 1) << after;
    }
    EXPECT_EQ(Loop::current().stats().tasks, 1u);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(GatherTest, ACancelledThatPassesThroughIsAFailure) {
  TestLoop loop;
  int cancelled = 0;
  const auto wait = [](JoinHandle<>& source) -> Task<> { co_await source; };
  const auto body = [&]() -> Task<> {
    auto source = spawn(forever(&cancelled));
    co_await yield();
    source.cancel();
    EXPECT_THROW(co_await gather(wait(source), forever(&cancelled)), Cancelled);
    EXPECT_EQ(cancelled, 1) << "the other one was cancelled before it started";
    co_await yield();  // this task itself was not cancelled
  };
  loop.run(body());
}

TEST(GatherTest, TheSnapshotIsOfTheCall) {
  TestLoop loop;
  ContextVar<int> var("var", 0);
  const auto read = [&]() -> Task<int> {
    const int seen = var.get();
    var.set(50);
    co_return seen;
  };
  const auto body = [&]() -> Task<> {
    var.set(1);
    auto call = gather(read(), read());
    std::vector<Task<int>> tasks;
    tasks.push_back(read());
    auto vector_call = gather(std::move(tasks));
    var.set(2);
    const auto [a, b] = co_await std::move(call);
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 1);
    EXPECT_THAT(co_await std::move(vector_call), ElementsAre(1));
    EXPECT_EQ(var.get(), 2);
  };
  loop.run(body());
}

// Each task waits for the next one in a gather of its own: cancelling the first takes constant stack, too.
Task<> tower(int height, int& unwound) {
  struct Count {
    int& to;
    explicit Count(int& counter) : to(counter) {}
    ~Count() { ++to; }
  } const count(unwound);
  if (height == 0) {
    co_await sleep_for(absl::InfiniteDuration());
  } else {
    co_await gather(tower(height - 1, unwound));
  }
}

TEST(GatherTest, ATowerOfGathersIsCancelledInConstantStack) {
  constexpr int kHeight = 20'000;
  on_small_stack([] {
    TestLoop loop;
    int unwound = 0;
    const auto body = [&]() -> Task<> {
      auto handle = spawn(tower(kHeight, unwound));
      while (Loop::current().stats().tasks < kHeight + 2) co_await yield();
      co_await yield();
      handle.cancel();
      EXPECT_THROW(co_await handle, Cancelled);
    };
    loop.run(body());
    EXPECT_EQ(unwound, kHeight + 1);
    EXPECT_THAT(loop.reports(), IsEmpty());
  });
}

}  // namespace
}  // namespace weir
