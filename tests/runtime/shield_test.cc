#include "weir/runtime/shield.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <utility>

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

TEST(ShieldTest, GivesTheResultOrTheException) {
  TestLoop loop;
  int target = 0;
  const auto give = [&]() -> Task<int&> { co_return target; };
  const auto fail = []() -> Task<> {
    throw std::runtime_error("failed");
    co_return;
  };
  const auto body = [&]() -> Task<> {
    EXPECT_EQ(&co_await shield(give()), &target);
    EXPECT_THROW(co_await shield(fail()), std::runtime_error);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(ShieldTest, FinishesAlthoughItsCallerIsCancelledThenCancelled) {
  TestLoop loop;
  bool finished = false;
  const auto commit = [&]() -> Task<int> {
    co_await turns(5);
    co_await sleep_for(absl::Milliseconds(1));
    finished = true;
    co_return 1;
  };
  const auto work = [&]() -> Task<> {
    co_await shield(commit());
    ADD_FAILURE() << "shield() returned";
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(work());
    co_await turns(2);
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
    EXPECT_TRUE(finished) << "the caller waits for it";
    EXPECT_EQ((co_await timeout(absl::Milliseconds(1), shield(turns(100)))).code(), absl::StatusCode::kOk);
  };
  loop.run(body());
}

TEST(ShieldTest, AFailureThatACancelledCallerDoesNotSeeIsReported) {
  TestLoop loop;
  const auto commit = []() -> Task<> {
    co_await turns(3);
    throw std::runtime_error("unseen");
  };
  const auto work = [&]() -> Task<> { co_await shield(commit()); };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(work());
    co_await turns(2);
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), ElementsAre("shield: unseen"));
}

TEST(ShieldTest, FinishesAlthoughTheLoopIsGoing) {
  TestLoop loop;
  int finished = 0;
  const auto commit = [&]() -> Task<> {
    co_await sleep_for(absl::Milliseconds(1));
    co_await gather(turns(3), sleep_for(absl::Milliseconds(1)));
    ++finished;
  };
  const auto work = [&]() -> Task<> { co_await shield(commit()); };
  const auto body = [&]() -> Task<> {
    (void)spawn(work());
    co_await turns(3);
  };
  loop.run(body());
  EXPECT_EQ(finished, 0);
  loop.destroy();
  EXPECT_EQ(finished, 1);
}

TEST(ShieldTest, TheSnapshotIsOfTheCall) {
  TestLoop loop;
  ContextVar<int> var("var", 0);
  const auto read = [&]() -> Task<int> {
    const int seen = var.get();
    var.set(9);
    co_return seen;
  };
  const auto body = [&]() -> Task<> {
    var.set(1);
    auto call = shield(read());
    var.set(2);
    EXPECT_EQ(co_await std::move(call), 1);
    EXPECT_EQ(var.get(), 2);
  };
  loop.run(body());
}

}  // namespace
}  // namespace weir
