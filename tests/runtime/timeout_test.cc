#include "weir/runtime/timeout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "weir/runtime/context.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TestLoop;

constexpr absl::Duration kShort = absl::Milliseconds(1);
constexpr absl::Duration kLong = absl::Hours(1);

Task<int> give(int number) {
  co_await yield();
  co_return number;
}
Task<> forever(int* cancelled = nullptr) {
  try {
    co_await sleep_for(absl::InfiniteDuration());
  } catch (const Cancelled&) {
    if (cancelled != nullptr) ++*cancelled;
    throw;
  }
}
Task<absl::Status> status(absl::Status what) { co_return what; }
Task<absl::StatusOr<std::string>> text() { co_return "text"; }

TEST(TimeoutTest, ResultsInTime) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    const absl::StatusOr<int> number = co_await timeout(kLong, give(5));
    EXPECT_EQ(number.value(), 5);
    const absl::Status nothing = co_await timeout(kLong, yield());
    EXPECT_TRUE(nothing.ok());
    const absl::Status as_it_is = co_await timeout(kLong, status(absl::NotFoundError("x")));
    EXPECT_EQ(as_it_is.message(), "x");
    const absl::StatusOr<std::string> flat = co_await timeout(kLong, text());
    EXPECT_EQ(flat.value(), "text");
    EXPECT_EQ((co_await timeout(kLong, spawn(give(6)))).value(), 6);
  };
  loop.run(body());
  EXPECT_EQ(internal::LoopAccess::engine(*loop).timers().size(), 0u);
}

TEST(TimeoutTest, ADeadlineThatPassesCancelsAndWaits) {
  TestLoop loop;
  int cancelled = 0;
  const auto body = [&]() -> Task<> {
    const absl::Status late = co_await timeout(kShort, forever(&cancelled));
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_THAT(std::string(late.message()), HasSubstr("1ms"));
    EXPECT_EQ(cancelled, 1);
    co_await yield();  // the caller was not cancelled
    EXPECT_EQ((co_await timeout(kLong, give(1))).value(), 1);
  };
  loop.run(body());
}

TEST(TimeoutTest, ADurationOfZeroOrLessDoesNotStartIt) {
  TestLoop loop;
  bool ran = false;
  const auto work = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto body = [&]() -> Task<> {
    for (const absl::Duration limit : {absl::ZeroDuration(), absl::Seconds(-1), -absl::InfiniteDuration()}) {
      EXPECT_EQ((co_await timeout(limit, work())).code(), absl::StatusCode::kDeadlineExceeded);
    }
    int cancelled = 0;
    auto handle = spawn(forever(&cancelled));
    co_await yield();
    EXPECT_EQ((co_await timeout(absl::ZeroDuration(), std::move(handle))).code(), absl::StatusCode::kDeadlineExceeded);
    co_await yield();
    EXPECT_EQ(cancelled, 1) << "a handle that was moved in is cancelled with it";
  };
  loop.run(body());
  EXPECT_FALSE(ran);
}

TEST(TimeoutTest, AnInfiniteOneArmsNoTimer) {
  TestLoop loop;
  const auto work = [&]() -> Task<> {
    EXPECT_EQ(internal::LoopAccess::engine(*loop).timers().size(), 0u);
    co_return;
  };
  const auto body = [&]() -> Task<> {
    EXPECT_TRUE((co_await timeout(absl::InfiniteDuration(), work())).ok());
    EXPECT_TRUE((co_await timeout(absl::Hours(24 * 365 * 1000), work())).ok()) << "beyond the clock";
  };
  loop.run(body());
}

TEST(TimeoutTest, WorkThatWonTheRaceAnywayIsASuccess) {
  TestLoop loop;
  const auto stubborn = []() -> Task<int> {
    try {
      co_await forever();
    } catch (const Cancelled&) {
    }
    bool still_cancelled = false;
    try {
      co_await yield();
    } catch (const Cancelled&) {
      still_cancelled = true;
    }
    EXPECT_TRUE(still_cancelled);
    co_return 3;
  };
  const auto angry = []() -> Task<int> {
    try {
      co_await forever();
    } catch (const Cancelled&) {
    }
    throw std::runtime_error("angry");
  };
  const auto body = [&]() -> Task<> {
    EXPECT_EQ((co_await timeout(kShort, stubborn())).value(), 3);
    EXPECT_THROW((void)co_await timeout(kShort, angry()), std::runtime_error);
  };
  loop.run(body());
}

TEST(TimeoutTest, Nested) {
  TestLoop loop;
  int after = 0;
  const auto inner_first = [&]() -> Task<int> {
    const absl::Status late = co_await timeout(kShort, forever());
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
    co_await yield();
    co_return ++after;
  };
  const auto outer_first = [&]() -> Task<int> {
    (void)co_await timeout(kLong, forever());
    ADD_FAILURE() << "the outer deadline unwinds";
    co_return 0;
  };
  const auto body = [&]() -> Task<> {
    EXPECT_EQ((co_await timeout(kLong, inner_first())).value(), 1);
    EXPECT_EQ((co_await timeout(kShort, outer_first())).status().code(), absl::StatusCode::kDeadlineExceeded);
    const auto both = co_await timeout(kShort, timeout(kLong, timeout(kLong, forever())));
    EXPECT_EQ(both.code(), absl::StatusCode::kDeadlineExceeded);
    co_await yield();
  };
  loop.run(body());
}

TEST(TimeoutTest, ACancelFromOutsideIsNoDeadline) {
  TestLoop loop;
  int cancelled = 0;
  const auto work = [&]() -> Task<> {
    (void)co_await timeout(kLong, forever(&cancelled));
    ADD_FAILURE() << "timeout() returned";
  };
  // Both, and the cancel while the work is still on its way out.
  const auto slow_end = [&](JoinHandle<>& self) -> Task<> {
    try {
      co_await forever();
    } catch (const Cancelled&) {
    }
    self.cancel();
    co_await yield();
  };
  JoinHandle<> both;
  const auto late = [&]() -> Task<> {
    (void)co_await timeout(kShort, slow_end(both));
    ADD_FAILURE() << "timeout() returned";
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(work());
    co_await yield();
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
    EXPECT_EQ(cancelled, 1);
    both = spawn(late());
    EXPECT_THROW(co_await both, Cancelled);
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), IsEmpty());
}

TEST(TimeoutTest, ACancelledThatPassesThroughIsNoDeadline) {
  TestLoop loop;
  const auto wait = [](JoinHandle<>& source) -> Task<> { co_await source; };
  const auto body = [&]() -> Task<> {
    auto source = spawn(forever());
    co_await yield();
    source.cancel();
    EXPECT_THROW((void)co_await timeout(kLong, wait(source)), Cancelled);
  };
  loop.run(body());
}

TEST(TimeoutTest, AHandleMovedInIsCancelledAwaitedPlainlyItIsNot) {
  TestLoop loop;
  const auto wait = [](JoinHandle<>& source) -> Task<> { co_await source; };
  const auto body = [&]() -> Task<> {
    int cancelled = 0;
    auto handle = spawn(forever(&cancelled));
    EXPECT_EQ((co_await timeout(kShort, wait(handle))).code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_FALSE(handle.done());
    EXPECT_EQ((co_await timeout(kShort, std::move(handle))).code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(cancelled, 1);
  };
  loop.run(body());
}

TEST(TimeoutTest, SharesItsCallersContext) {
  TestLoop loop;
  ContextVar<int> var("var", 0);
  const auto change = [&]() -> Task<> {
    EXPECT_EQ(var.get(), 1);
    var.set(2);
    co_return;
  };
  const auto body = [&]() -> Task<> {
    auto call = timeout(kLong, change());
    var.set(1);
    EXPECT_TRUE((co_await std::move(call)).ok());
    EXPECT_EQ(var.get(), 2);
  };
  loop.run(body());
}

}  // namespace
}  // namespace weir
