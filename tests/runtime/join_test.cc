#include "weir/runtime/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/runtime/context.h"
#include "weir/runtime/task.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::TestLoop;

static_assert(!std::is_copy_constructible_v<JoinHandle<int>> && std::is_nothrow_move_constructible_v<JoinHandle<int>>);

Task<int> give(int number) { co_return number; }
Task<> fail(std::string what) {
  co_await yield();
  throw std::runtime_error(what);
}
Task<> forever() { co_await sleep_for(absl::InfiniteDuration()); }

// --- spawn

TEST(SpawnTest, StartsAtTheNextTurnFirstInFirstOut) {
  TestLoop loop;
  std::vector<int> order;
  const auto note = [&](int number) -> Task<> {
    order.push_back(number);
    co_await yield();
    order.push_back(number + 10);
  };
  const auto body = [&]() -> Task<> {
    auto a = spawn(note(1));
    auto b = spawn(note(2));
    auto c = spawn(note(3));
    EXPECT_TRUE(order.empty());
    co_await c;
    EXPECT_TRUE(a.done() && b.done() && c.done());
  };
  loop.run(body());
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 11, 12, 13));
}

TEST(SpawnTest, KeepsTheFunctionAndItsArgumentsAlive) {
  TestLoop loop;
  auto alive = std::make_shared<int>(40);
  const auto body = [&]() -> Task<> {
    JoinHandle<int> handle;
    {
      auto add = [alive](const std::string& text, std::unique_ptr<int> more) -> Task<int> {
        co_await yield();
        co_return *alive + *more + static_cast<int>(text.size());
      };
      handle = spawn(std::move(add), std::string(100, 'x'), std::make_unique<int>(2));
    }
    EXPECT_EQ(alive.use_count(), 2);
    EXPECT_EQ(co_await handle, 142);
    EXPECT_EQ(alive.use_count(), 1) << "gone with the task, not with the handle";
  };
  loop.run(body());
}

TEST(SpawnTest, WhatIsCancelledBeforeItStartsNeverRuns) {
  TestLoop loop;
  bool ran = false;
  const auto run = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto call = [&] {
    ran = true;
    return give(1);
  };
  const auto body = [&]() -> Task<> {
    auto task = spawn(run());
    auto coroutine = spawn(run);
    auto function = spawn(call);
    task.cancel();
    coroutine.cancel();
    function.cancel();
    EXPECT_THROW(co_await task, Cancelled);
    EXPECT_THROW(co_await coroutine, Cancelled);
    EXPECT_THROW(co_await function, Cancelled);
  };
  loop.run(body());
  EXPECT_FALSE(ran);
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(SpawnTest, ASpentTaskIsALogicError) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    Task<int> once = give(1);
    Task<int> taken = std::move(once);
    EXPECT_THROW((void)co_await spawn(std::move(once)), std::logic_error);  // NOLINT: moved from
    EXPECT_EQ(co_await std::move(taken), 1);
    EXPECT_THROW((void)co_await spawn(std::move(taken)), std::logic_error);
    JoinHandle<int> cancelled = spawn(std::move(taken));
    cancelled.cancel();
    EXPECT_THROW((void)co_await cancelled, std::logic_error);
  };
  loop.run(body());
}

// What a task holds goes with its end, not with its handle.
TEST(SpawnTest, ItsParametersGoWhenItHasEnded) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    auto token = std::make_shared<int>(7);
    const auto read = [](std::shared_ptr<int> number) -> Task<int> { co_return *number; };
    JoinHandle<int> handle = spawn(read(token));
    EXPECT_EQ(token.use_count(), 2);
    EXPECT_EQ(co_await handle, 7);
    EXPECT_EQ(token.use_count(), 1);
    JoinHandle<int> never = spawn(read(token));
    never.cancel();
    EXPECT_THROW((void)co_await never, Cancelled);
    EXPECT_EQ(token.use_count(), 1);
  };
  loop.run(body());
}

TEST(SpawnTest, OffALoopIsALookupError) {
  EXPECT_THROW((void)spawn(give(1)), LookupError);
  const auto function = [] { return give(1); };
  EXPECT_THROW((void)spawn(function), LookupError);
}

TEST(SpawnTest, ASnapshotOfTheContext) {
  TestLoop loop;
  ContextVar<int> var("var", 0);
  const auto read = [&]() -> Task<int> {
    co_await yield();
    const int seen = var.get();
    var.set(100);
    co_return seen;
  };
  const auto body = [&]() -> Task<> {
    var.set(1);
    auto handle = spawn(read());
    var.set(2);
    EXPECT_EQ(co_await handle, 1);
    EXPECT_EQ(var.get(), 2);
    EXPECT_EQ(co_await read(), 2);
    EXPECT_EQ(var.get(), 100) << "an awaited Task shares its caller's";
  };
  loop.run(body());
  EXPECT_EQ(var.get(), 0);
}

// --- results

TEST(JoinTest, LvaluesCanBeAwaitedAgain) {
  TestLoop loop;
  const auto text = []() -> Task<std::string> { co_return "text"; };
  int target = 0;
  const auto reference = [&]() -> Task<int&> { co_return target; };
  const auto pointer = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(text());
    EXPECT_EQ(co_await handle, "text");
    EXPECT_EQ(co_await handle, "text");
    EXPECT_EQ(co_await std::move(handle), "text");
    auto to_target = spawn(reference());
    EXPECT_EQ(&co_await to_target, &target);
    EXPECT_EQ(&co_await to_target, &target);
    auto move_only = spawn(pointer());
    EXPECT_EQ(*co_await move_only, 7);
    EXPECT_EQ(co_await spawn(give(3)), 3);
  };
  loop.run(body());
}

struct Recorded : std::runtime_error {
  Recorded() : std::runtime_error("recorded"), self(this) {}
  const void* self;
};

TEST(JoinTest, EachAwaitThrowsTheSameException) {
  TestLoop loop;
  const auto work = []() -> Task<> {
    throw Recorded();
    co_return;
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(work());
    const void* first = nullptr;
    for (int i = 0; i < 2; ++i) {
      try {
        co_await handle;
      } catch (const Recorded& e) {
        EXPECT_EQ(e.self, &e);
        if (first != nullptr) {
          EXPECT_EQ(first, &e);
        }
        first = &e;
      }
    }
    EXPECT_NE(first, nullptr);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(JoinTest, ManyMayWaitAndAreWokenInOrder) {
  TestLoop loop;
  std::vector<int> order;
  const auto wait = [&](JoinHandle<int>& source, int number) -> Task<> {
    EXPECT_EQ(co_await source, 5);
    order.push_back(number);
  };
  const auto body = [&]() -> Task<> {
    auto source = spawn([]() -> Task<int> {
      for (int i = 0; i < 5; ++i) co_await yield();
      co_return 5;
    });
    auto a = spawn(wait(source, 1));
    auto b = spawn(wait(source, 2));
    auto c = spawn(wait(source, 3));
    co_await yield();
    b.cancel();
    co_await a;
    EXPECT_THROW(co_await b, Cancelled);
    co_await c;
  };
  loop.run(body());
  EXPECT_THAT(order, ElementsAre(1, 3));
}

TEST(JoinTest, AHandleMayBeDroppedWhileSomebodyWaits) {
  TestLoop loop;
  const auto wait = [](JoinHandle<std::string>& source) -> Task<std::string> { co_return co_await source; };
  const auto work = []() -> Task<std::string> {
    for (int i = 0; i < 5; ++i) co_await yield();
    co_return std::string(100, 'r');
  };
  const auto body = [&]() -> Task<> {
    auto source = spawn(work());
    auto waiter = spawn(wait(source));
    auto given_up = spawn(wait(source));
    co_await yield();
    source = JoinHandle<std::string>();
    given_up.cancel();
    EXPECT_EQ(co_await waiter, std::string(100, 'r'));
    EXPECT_THROW(co_await given_up, Cancelled);
  };
  loop.run(body());
}

TEST(JoinTest, MistakesAreNamed) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    JoinHandle<int> empty;
    EXPECT_FALSE(empty);
    EXPECT_FALSE(empty.done());
    empty.cancel();
    EXPECT_THROW(co_await empty, std::logic_error);
    JoinHandle<> own;
    own = spawn([&own]() -> Task<> { co_await own; });
    EXPECT_THROW(co_await own, DeadlockError);
  };
  loop.run(body());
}

// --- cancelling

TEST(JoinTest, CancellingWhoAwaitsLeavesTheTaskAlone) {
  TestLoop loop;
  const auto wait = [](JoinHandle<int>& source) -> Task<> { co_await source; };
  const auto slow = []() -> Task<int> {
    for (int i = 0; i < 10; ++i) co_await yield();
    co_return 8;
  };
  const auto body = [&]() -> Task<> {
    auto source = spawn(slow());
    auto waiter = spawn(wait(source));
    co_await yield();
    waiter.cancel();
    EXPECT_THROW(co_await waiter, Cancelled);
    EXPECT_FALSE(source.done());
    EXPECT_EQ(co_await source, 8);
  };
  loop.run(body());
}

TEST(JoinTest, CancelOfOneThatIsDoneChangesNothing) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    auto handle = spawn(give(4));
    co_await yield();
    EXPECT_TRUE(handle.done());
    handle.cancel();
    handle.cancel();
    EXPECT_EQ(co_await handle, 4);
  };
  loop.run(body());
}

// --- what nobody awaits

TEST(UnhandledTest, ReportedOnceWithTheTasksName) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    (void)spawn(fail("dropped at once"), "first");
    {
      auto kept = spawn(fail("dropped later"), "second");
      co_await yield();
      co_await yield();
      EXPECT_TRUE(kept.done());
    }
    auto awaited = spawn(fail("awaited"), "third");
    EXPECT_THROW(co_await awaited, std::runtime_error);
  };
  loop.run(body());
  loop.destroy();
  EXPECT_THAT(loop.reports(), ElementsAre("first: dropped at once", "second: dropped later"));
}

TEST(UnhandledTest, ACancelledTaskIsNoFailureButACancelledThatPassesThroughIs) {
  TestLoop loop;
  const auto wait = [](JoinHandle<>& source) -> Task<> { co_await source; };
  const auto body = [&]() -> Task<> {
    auto source = spawn(forever(), "source");
    (void)spawn(wait(source), "waiter");
    co_await yield();
    source.cancel();
    for (int i = 0; i < 4; ++i) co_await yield();
    EXPECT_TRUE(source.done());
  };
  loop.run(body());
  loop.destroy();
  EXPECT_THAT(loop.reports(), ElementsAre("waiter: Cancelled"));
}

TEST(UnhandledTest, OfTasksThatEndWithTheirLoop) {
  TestLoop loop;
  const auto stubborn = []() -> Task<> {
    try {
      co_await forever();
    } catch (const Cancelled&) {
      throw std::runtime_error("on the way out");
    }
  };
  const auto body = [&]() -> Task<> {
    (void)spawn(stubborn(), "stubborn");
    (void)spawn(forever(), "quiet");
    co_await yield();
  };
  loop.run(body());
  loop.destroy();
  EXPECT_THAT(loop.reports(), ElementsAre("stubborn: on the way out"));
}

TEST(UnhandledTest, AHandleThatOutlivesItsLoop) {
  TestLoop loop;
  JoinHandle<> handle;
  const auto body = [&]() -> Task<> {
    handle = spawn(fail("late"), "late one");
    co_return;
  };
  loop.run(body());
  loop.destroy();
  handle.cancel();
  EXPECT_TRUE(handle.done());
  handle = JoinHandle<>();
}

}  // namespace
}  // namespace weir
