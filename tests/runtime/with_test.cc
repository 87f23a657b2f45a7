#include "weir/runtime/with.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "weir/runtime/context.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TestLoop;

Task<> turns(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

// A resource whose close() takes its time.
class Door {
 public:
  explicit Door(int& closed, absl::Status result = absl::OkStatus()) : closed_(&closed), result_(std::move(result)) {}
  Door(Door&&) = default;
  Task<absl::Status> close() {
    co_await turns(2);
    const auto inside = co_await timeout(absl::Milliseconds(1), sleep_for(absl::InfiniteDuration()));
    EXPECT_EQ(inside.code(), absl::StatusCode::kDeadlineExceeded);
    ++*closed_;
    co_return result_;
  }

 private:
  int* closed_;
  absl::Status result_;
};

// One whose close() cannot be awaited, or throws.
class Lid {
 public:
  explicit Lid(int& closed, bool throws = false) : closed_(&closed), throws_(throws) {}
  void close() {
    ++*closed_;
    if (throws_) throw std::runtime_error("stuck");
  }

 private:
  int* closed_;
  bool throws_;
};

TEST(WithTest, ClosesWhenTheBodyHasEnded) {
  TestLoop loop;
  int closed = 0;
  int target = 0;
  const auto number = [&](Door&) -> Task<int> {
    EXPECT_EQ(closed, 0);
    co_return 5;
  };
  const auto nothing = [](Lid&) -> Task<> { co_return; };
  const auto reference = [&](Lid&) -> Task<int&> { co_return target; };
  const auto body = [&]() -> Task<> {
    EXPECT_EQ(co_await with(Door(closed), number), 5);
    EXPECT_EQ(closed, 1);
    co_await with(Lid(closed), nothing);
    EXPECT_EQ(closed, 2);
    EXPECT_EQ(&co_await with(Lid(closed), reference), &target);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(WithTest, ClosesWhenTheBodyThrows) {
  TestLoop loop;
  int closed = 0;
  const auto fails = [](Door&) -> Task<> {
    co_await yield();
    throw std::runtime_error("body");
  };
  const auto refuses = [](Door&) -> Task<> { throw std::runtime_error("no coroutine"); };
  const auto body = [&]() -> Task<> {
    EXPECT_THROW(co_await with(Door(closed), fails), std::runtime_error);
    EXPECT_THROW(co_await with(Door(closed), refuses), std::runtime_error);
  };
  loop.run(body());
  EXPECT_EQ(closed, 2);
}

TEST(WithTest, ClosesInACancelledTask) {
  TestLoop loop;
  int closed = 0;
  const auto waits = [](Door&) -> Task<> { co_await sleep_for(absl::InfiniteDuration()); };
  const auto work = [&]() -> Task<> { co_await with(Door(closed), waits); };
  const auto body = [&]() -> Task<> {
    // Cancelled in the body, and in the close.
    for (const int after : {1, 3}) {
      auto handle = spawn(work());
      co_await turns(2);
      handle.cancel();
      co_await turns(after);
      handle.cancel();
      EXPECT_THROW(co_await handle, Cancelled);
    }
    EXPECT_EQ(closed, 2);
    EXPECT_EQ((co_await timeout(absl::Milliseconds(1), with(Door(closed), waits))).code(),
              absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(closed, 3);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(WithTest, ClosesWhenTheLoopGoes) {
  TestLoop loop;
  int closed = 0;
  const auto waits = [](Door&) -> Task<> { co_await sleep_for(absl::InfiniteDuration()); };
  const auto body = [&]() -> Task<> {
    (void)spawn(with(Door(closed), waits));
    co_await turns(2);
  };
  loop.run(body());
  loop.destroy();
  EXPECT_EQ(closed, 1);
}

TEST(WithTest, WhatCloseSays) {
  TestLoop loop;
  int closed = 0;
  const auto status = [](Door&) -> Task<absl::Status> { co_return absl::OkStatus(); };
  const auto bad_status = [](Door&) -> Task<absl::Status> { co_return absl::NotFoundError("body"); };
  const auto number = [](Door&) -> Task<int> { co_return 5; };
  const auto nothing = [](Lid&) -> Task<> { co_return; };
  const auto fails = [](Lid&) -> Task<> {
    throw std::logic_error("body");
    co_return;
  };
  const absl::Status torn = absl::DataLossError("torn");
  const auto body = [&]() -> Task<> {
    const absl::Status seen = co_await with(Door(closed, torn), status);
    EXPECT_EQ(seen.code(), absl::StatusCode::kDataLoss);
    const absl::Status first = co_await with(Door(closed, torn), bad_status);
    EXPECT_EQ(first.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(co_await with(Door(closed, torn), number), 5);
    EXPECT_THROW(co_await with(Lid(closed, true), nothing), std::runtime_error);
    EXPECT_THROW(co_await with(Lid(closed, true), fails), std::logic_error);
  };
  loop.run(body());
  EXPECT_EQ(closed, 5);
  EXPECT_THAT(loop.reports(), ElementsAre(HasSubstr("torn"), HasSubstr("torn"), "run: stuck"));
}

TEST(WithTest, SharesItsCallersContext) {
  TestLoop loop;
  int closed = 0;
  ContextVar<int> var("var", 0);
  const auto change = [&](Lid&) -> Task<> {
    EXPECT_EQ(var.get(), 1);
    var.set(2);
    co_return;
  };
  const auto body = [&]() -> Task<> {
    var.set(1);
    co_await with(Lid(closed), change);
    EXPECT_EQ(var.get(), 2);
  };
  loop.run(body());
}

}  // namespace
}  // namespace weir
