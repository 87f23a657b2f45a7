#include "weir/runtime/race.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "weir/runtime/context.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::TestLoop;

Task<> turns(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}
Task<int> give(int number, int after) {
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
Task<std::string> fail(std::string what, int after) {
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

TEST(RaceTest, TheFirstToEndWinsAndTheLosersAreCancelledAndWaitedFor) {
  TestLoop loop;
  int cancelled = 0;
  const auto body = [&]() -> Task<> {
    const std::variant<std::monostate, int, int> first = co_await race(forever(&cancelled), give(1, 9), give(2, 3));
    EXPECT_EQ(first.index(), 2u);
    EXPECT_EQ(std::get<2>(first), 2);
    EXPECT_EQ(cancelled, 1);
    EXPECT_EQ(Loop::current().stats().tasks, 1u);
    const auto without = co_await race(turns(1), give(1, 5));
    EXPECT_EQ(without.index(), 0u);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(RaceTest, AlsoByException) {
  TestLoop loop;
  int cancelled = 0;
  const auto body = [&]() -> Task<> {
    EXPECT_THROW(co_await race(give(1, 9), fail("won", 2), forever(&cancelled)), std::runtime_error);
    EXPECT_EQ(cancelled, 1);
    const auto first = co_await race(give(1, 2), fail_when_cancelled("lost"));
    EXPECT_EQ(first.index(), 0u);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), ElementsAre("race: lost"));
}

TEST(RaceTest, OneThatWinsAtOnceKeepsTheOthersFromStarting) {
  TestLoop loop;
  bool ran = false;
  const auto late = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto body = [&]() -> Task<> {
    EXPECT_EQ((co_await race(give(1, 0), late())).index(), 0u);
  };
  loop.run(body());
  EXPECT_FALSE(ran);
}

TEST(RaceTest, AHandleMovedInIsCancelledWithItAndWaitedFor) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    for (int after = 0; after < 4; ++after) {
      int cancelled = 0;
      auto handle = spawn(forever(&cancelled));
      co_await yield();
      EXPECT_EQ((co_await race(give(1, after), std::move(handle))).index(), 0u);
      EXPECT_EQ(cancelled, 1) << after;
      EXPECT_EQ(Loop::current().stats().tasks, 1u);
    }
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(RaceTest, CancellingWhoAwaitsCancelsAll) {
  TestLoop loop;
  int cancelled = 0;
  const auto work = [&]() -> Task<> {
    co_await race(forever(&cancelled), forever(&cancelled));
    ADD_FAILURE() << "race() returned";
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(work());
    co_await turns(3);
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
    EXPECT_EQ(cancelled, 2);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(RaceTest, TheSnapshotIsOfTheCall) {
  TestLoop loop;
  ContextVar<int> var("var", 0);
  const auto read = [&]() -> Task<int> { co_return var.get(); };
  const auto body = [&]() -> Task<> {
    var.set(1);
    auto call = race(read(), read());
    var.set(2);
    EXPECT_EQ(std::get<0>(co_await std::move(call)), 1);
  };
  loop.run(body());
}

}  // namespace
}  // namespace weir
