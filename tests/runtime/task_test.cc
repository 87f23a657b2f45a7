#include "weir/runtime/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <concepts>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/small_stack.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::on_small_stack;
using testing::TestLoop;

constexpr int kDeep = 100'000;

static_assert(!std::is_copy_constructible_v<Task<int>> && !std::is_copy_assignable_v<Task<int>>);
static_assert(std::is_nothrow_move_constructible_v<Task<int>> && std::is_nothrow_move_assignable_v<Task<int>>);
static_assert(std::same_as<internal::await_result_t<Task<std::string>>, std::string>);

Task<int> one() { co_return 1; }

Task<> append(std::vector<int>& order, int number) {
  order.push_back(number);
  co_return;
}

TEST(TaskTest, StartsWhenItIsAwaited) {
  TestLoop loop;
  std::vector<int> order;
  const auto body = [&]() -> Task<> {
    Task<> first = append(order, 1);
    Task<> second = append(order, 2);
    EXPECT_TRUE(order.empty());
    co_await std::move(second);
    EXPECT_THAT(order, ElementsAre(2));
    co_await std::move(first);
  };
  loop.run(body());
  EXPECT_THAT(order, ElementsAre(2, 1));
}

TEST(TaskTest, OneThatNobodyAwaitsNeverRuns) {
  std::vector<int> order;
  {
    const Task<> dropped = append(order, 1);
  }
  EXPECT_TRUE(order.empty());
}

TEST(TaskTest, AwaitedTwiceOrMovedFromIsALogicError) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    Task<int> task = one();
    EXPECT_EQ(co_await std::move(task), 1);
    EXPECT_THROW(co_await std::move(task), std::logic_error);
    Task<int> other = one();
    Task<int> moved = std::move(other);
    EXPECT_THROW(co_await std::move(other), std::logic_error);
    EXPECT_EQ(co_await std::move(moved), 1);
  };
  loop.run(body());
}

TEST(TaskTest, AwaitedByTwoAtOnceIsALogicError) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    Task<> task = [](absl::Duration pause) -> Task<> { co_await sleep_for(pause); }(absl::Milliseconds(1));
    auto wait = [&task]() -> Task<> { co_await std::move(task); };
    auto first = spawn(wait);
    auto second = spawn(wait);
    EXPECT_THROW(co_await second, std::logic_error);
    co_await first;
  };
  loop.run(body());
}

TEST(TaskTest, MoveAssignmentDropsTheOldOne) {
  TestLoop loop;
  std::vector<int> order;
  Task<> task = append(order, 1);
  task = append(order, 2);
  loop.run(std::move(task));
  EXPECT_THAT(order, ElementsAre(2));
}

TEST(TaskTest, AwaitedOutsideALoopIsALookupError) {
  Task<int> task = one();
  auto awaiter = std::move(task).operator co_await();
  try {
    (void)awaiter.await_ready();
    ADD_FAILURE() << "nothing thrown";
  } catch (const LookupError& e) {
    EXPECT_THAT(e.what(), HasSubstr("Loop::run()"));
  }
}

// --- results

class NoDefault {
 public:
  explicit NoDefault(int value) : value_(value) {}
  NoDefault(NoDefault&&) = default;
  int value() const { return value_; }

 private:
  int value_;
};

TEST(TaskTest, ResultsOfAllKinds) {
  TestLoop loop;
  int target = 1;
  const auto body = [&]() -> Task<> {
    const auto pointer = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
    EXPECT_EQ(*co_await pointer(), 5);
    const auto reference = [&]() -> Task<int&> { co_return target; };
    int& seen = co_await reference();
    EXPECT_EQ(&seen, &target);
    const auto constant = [&]() -> Task<const int&> { co_return target; };
    EXPECT_EQ(&co_await constant(), &target);
    const auto bare = []() -> Task<NoDefault> { co_return NoDefault(9); };
    EXPECT_EQ((co_await bare()).value(), 9);
    const auto braces = []() -> Task<std::vector<int>> { co_return {}; };
    EXPECT_TRUE((co_await braces()).empty());
    const auto converts = []() -> Task<absl::StatusOr<std::string>> { co_return "text"; };
    EXPECT_EQ((co_await converts()).value(), "text");
    const auto refuses = []() -> Task<absl::StatusOr<std::string>> { co_return absl::NotFoundError("no"); };
    EXPECT_EQ((co_await refuses()).status().message(), "no");
    const auto optional = []() -> Task<std::optional<int>> { co_return std::nullopt; };
    EXPECT_FALSE((co_await optional()).has_value());
  };
  loop.run(body());
}

TEST(TaskTest, AResultIsDestroyedOnce) {
  TestLoop loop;
  auto counted = std::make_shared<int>(3);
  const auto give = [&]() -> Task<std::shared_ptr<int>> { co_return counted; };
  const auto body = [&]() -> Task<> {
    EXPECT_EQ((co_await give()).use_count(), 2);
    EXPECT_EQ(counted.use_count(), 1);
    {
      const auto held = co_await give();
      EXPECT_EQ(counted.use_count(), 2);
    }
    (void)co_await give();
  };
  loop.run(body());
  EXPECT_EQ(counted.use_count(), 1);
}

// --- exceptions

// Knows where it was made: a copy would not.
struct Recorded : std::runtime_error {
  Recorded() : std::runtime_error("recorded"), self(this) {}
  const void* self;
};
struct Odd {
  const Odd* self = this;
};

Task<int> throws_recorded() {
  throw Recorded();
  co_return 0;
}
Task<int> passes_on(int depth) {
  if (depth == 0) co_return co_await throws_recorded();
  co_return co_await passes_on(depth - 1);
}

TEST(TaskTest, TheVerySameExceptionComesOut) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    bool caught = false;
    try {
      co_await passes_on(10);
    } catch (const Recorded& e) {
      caught = true;
      EXPECT_EQ(e.self, &e);
    }
    EXPECT_TRUE(caught);
  };
  loop.run(body());
  bool caught = false;
  try {
    loop.run(passes_on(3));
  } catch (const Recorded& e) {
    caught = true;
    EXPECT_EQ(e.self, &e);
  }
  EXPECT_TRUE(caught);
  EXPECT_TRUE(loop.reports().empty());
}

TEST(TaskTest, ExceptionsOfAnyType) {
  TestLoop loop;
  const auto throws_odd = []() -> Task<> {
    throw Odd();
    co_return;
  };
  const auto throws_int = []() -> Task<int&> {
    throw 42;
    co_return *new int;
  };
  const auto body = [&]() -> Task<> {
    int caught = 0;
    try {
      co_await throws_odd();
    } catch (const Odd& odd) {
      EXPECT_EQ(odd.self, &odd);
      ++caught;
    }
    try {
      (void)co_await throws_int();
    } catch (int number) {
      EXPECT_EQ(number, 42);
      ++caught;
    }
    EXPECT_EQ(caught, 2);
  };
  loop.run(body());
}

struct ThrowsWhenMoved {
  ThrowsWhenMoved() = default;
  ThrowsWhenMoved(ThrowsWhenMoved&&) { throw std::runtime_error("moved"); }
};

TEST(TaskTest, AResultThatCannotBeStoredIsAFailure) {
  TestLoop loop;
  const auto give = []() -> Task<ThrowsWhenMoved> { co_return ThrowsWhenMoved(); };
  const auto body = [&]() -> Task<> { EXPECT_THROW(co_await give(), std::runtime_error); };
  loop.run(body());
}

// --- cancelling

TEST(TaskTest, CancelledIsAState) {
  TestLoop loop;
  int thrown = 0;
  bool passed_std = true;
  const auto body = [&]() -> Task<> {
    for (int i = 0; i < 3; ++i) {
      try {
        co_await sleep_for(absl::InfiniteDuration());
      } catch (const std::exception&) {
        passed_std = false;
      } catch (const Cancelled&) {
        ++thrown;
      }
    }
    try {
      co_await one();
    } catch (const Cancelled&) {
      ++thrown;
    }
    try {
      co_await yield();
    } catch (const Cancelled&) {
      ++thrown;
    }
    co_await one();
  };
  const auto outside = [&]() -> Task<> {
    auto handle = spawn(body());
    co_await yield();
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop.run(outside());
  EXPECT_EQ(thrown, 5);
  EXPECT_TRUE(passed_std);
  EXPECT_TRUE(loop.reports().empty());
}

TEST(TaskTest, CancellingUnwindsTheWholeChain) {
  TestLoop loop;
  std::vector<int> order;
  struct Mark {
    std::vector<int>& order;
    int number;
    Mark(std::vector<int>& to, int n) : order(to), number(n) {}
    ~Mark() { order.push_back(number); }
  };
  const auto inner = [&]() -> Task<> {
    const Mark mark(order, 1);
    co_await sleep_for(absl::InfiniteDuration());
  };
  const auto outer = [&]() -> Task<> {
    const Mark mark(order, 2);
    co_await inner();
  };
  const auto body = [&]() -> Task<> {
    auto handle = spawn(outer());
    co_await yield();
    handle.cancel();
    EXPECT_TRUE(order.empty()) << "a cancel resumes nobody by itself";
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop.run(body());
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(TaskTest, AResultThatArrivedInSpiteOfACancelIsReturned) {
  TestLoop loop;
  int got = 0;
  bool later_threw = false;
  const auto work = [&](JoinHandle<int>& source) -> Task<> {
    got = co_await source;
    try {
      co_await yield();
    } catch (const Cancelled&) {
      later_threw = true;
      throw;
    }
  };
  const auto body = [&]() -> Task<> {
    const auto one_later = []() -> Task<int> {
      co_await yield();
      co_return 1;
    };
    auto source = spawn(one_later());
    auto worker = spawn(work(source));
    while (!source.done()) co_await yield();
    // The worker is ready, with the result, but has not run yet.
    worker.cancel();
    EXPECT_THROW(co_await worker, Cancelled);
  };
  loop.run(body());
  EXPECT_EQ(got, 1);
  EXPECT_TRUE(later_threw);
}

// --- constant stack

Task<int64_t> awaits_often(int count) {
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await one();
  co_return sum;
}

TEST(TaskTest, AMillionAwaitsThatCompleteAtOnce) {
  on_small_stack([] {
    TestLoop loop;
    EXPECT_EQ(loop.run(awaits_often(1'000'000)), 1'000'000);
  });
}

Task<int> dive(int depth) {
  if (depth == 0) co_return 0;
  co_return co_await dive(depth - 1) + 1;
}
Task<int> dive_and_throw(int depth) {
  if (depth == 0) throw std::runtime_error("bottom");
  co_return co_await dive_and_throw(depth - 1) + 1;
}
Task<> dive_and_wait(int depth, int& unwound) {
  struct Count {
    int& to;
    explicit Count(int& counter) : to(counter) {}
    ~Count() { ++to; }
  } const count(unwound);
  if (depth == 0) {
    co_await sleep_for(absl::InfiniteDuration());
  } else {
    co_await dive_and_wait(depth - 1, unwound);
  }
}
Task<int> around(Task<int> inner) { co_return co_await std::move(inner) + 1; }

Task<int> nested(int depth) {
  Task<int> task = one();
  for (int i = 0; i < depth; ++i) task = around(std::move(task));
  return task;
}

TEST(TaskTest, ADeepChainRuns) {
  on_small_stack([] {
    TestLoop loop;
    EXPECT_EQ(loop.run(dive(kDeep)), kDeep);
    EXPECT_EQ(loop.run(nested(kDeep)), kDeep + 1);
  });
}

TEST(TaskTest, ADeepChainThrows) {
  on_small_stack([] {
    TestLoop loop;
    EXPECT_THROW(loop.run(dive_and_throw(kDeep)), std::runtime_error);
  });
}

TEST(TaskTest, ADeepChainIsCancelled) {
  on_small_stack([] {
    TestLoop loop;
    int unwound = 0;
    const auto body = [&]() -> Task<> {
      auto handle = spawn(dive_and_wait(kDeep, unwound));
      co_await yield();
      EXPECT_EQ(unwound, 0);
      handle.cancel();
      EXPECT_THROW(co_await handle, Cancelled);
    };
    loop.run(body());
    EXPECT_EQ(unwound, kDeep + 1);
  });
}

TEST(TaskTest, ADeepChainIsDestroyed) {
  on_small_stack([] {
    {
      const Task<int> never = nested(kDeep);
    }
    int unwound = 0;
    {
      TestLoop loop;
      const auto body = [&]() -> Task<> {
        (void)spawn(nested(kDeep));
        (void)spawn(dive_and_wait(kDeep, unwound));
        co_await yield();
      };
      loop.run(body());
      EXPECT_EQ(unwound, 0);
    }
    EXPECT_EQ(unwound, kDeep + 1);
  });
}

}  // namespace
}  // namespace weir
