#include "weir/runtime/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/engine.h"
#include "weir/tests/testing/child_process.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir {
namespace {

std::unique_ptr<Loop> make(const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  EXPECT_TRUE(loop.ok()) << loop.status();
  return std::move(*loop);
}

Task<int> answer() { co_return 42; }

Task<int> nested(int depth) {
  if (depth == 0) co_return 0;
  co_return co_await nested(depth - 1) + 1;
}

Task<int> failing() {
  co_await yield();
  throw std::out_of_range("mine");
}

// What on_unhandled was told.
class Reports {
 public:
  LoopOptions options() {
    LoopOptions options;
    options.on_unhandled = [](std::exception_ptr failure, std::string_view task, void* user) noexcept {
      std::string what = "something else";
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& e) {
        what = e.what();
      } catch (const Cancelled&) {
        what = "Cancelled";
      } catch (...) {
      }
      static_cast<Reports*>(user)->all.push_back(std::string(task) + ": " + what);
    };
    options.on_unhandled_user = this;
    return options;
  }
  std::vector<std::string> all;
};

// --- run()

TEST(Loop, GivesTheResultAgainAndAgain) {
  auto loop = make();
  EXPECT_EQ(loop->run(answer()), 42);
  EXPECT_EQ(loop->run(nested(1000)), 1000);
  EXPECT_EQ(loop->run(answer()), 42);
  loop->run(sleep_for(absl::Microseconds(1)));
}

TEST(Loop, RethrowsTheVeryException) {
  auto loop = make();
  EXPECT_THROW((void)loop->run(failing()), std::out_of_range);
  EXPECT_EQ(loop->run(answer()), 42);
}

TEST(Loop, RunNestedIsRefused) {
  auto loop = make();
  auto second = make();
  const auto test = [&]() -> Task<> {
    EXPECT_THROW((void)loop->run(answer()), std::logic_error);
    EXPECT_THROW((void)second->run(answer()), std::logic_error);
    EXPECT_EQ(&Loop::current(), loop.get());
    co_return;
  };
  loop->run(test());
  EXPECT_EQ(second->run(answer()), 42);
}

TEST(Loop, BelongsToTheThreadOfItsFirstRun) {
  auto loop = make();
  std::thread([&] {
    EXPECT_EQ(loop->run(answer()), 42);
    EXPECT_EQ(loop->run(answer()), 42);
  }).join();
  EXPECT_THROW((void)loop->run(answer()), std::logic_error);
}

TEST(Loop, SeveralLoopsOnOneThread) {
  auto first = make();
  auto second = make();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(first->run(answer()), 42);
    EXPECT_EQ(second->run(answer()), 42);
  }
  first.reset();
  EXPECT_EQ(second->run(answer()), 42);
}

TEST(Loop, TasksStandStillBetweenRuns) {
  auto loop = make();
  int ticks = 0;
  const auto ticking = [&]() -> Task<> {
    for (;;) {
      ++ticks;
      co_await yield();
    }
  };
  JoinHandle<void> handle;
  const auto start = [&]() -> Task<> {
    handle = spawn(ticking());
    co_await yield();
  };
  loop->run(start());
  const int before = ticks;
  EXPECT_GT(before, 0);
  loop->run(sleep_for(absl::Nanoseconds(1)));
  EXPECT_GT(ticks, before);
  loop.reset();  // before what the task refers to
}

TEST(Loop, IsKnownWhereItRunsOnly) {
  auto loop = make();
  EXPECT_THROW((void)Loop::current(), LookupError);
  const auto test = [&]() -> Task<> {
    EXPECT_EQ(&Loop::current(), loop.get());
    std::thread([] { EXPECT_THROW((void)Loop::current(), LookupError); }).join();
    co_return;
  };
  loop->run(test());
  EXPECT_THROW((void)Loop::current(), LookupError);
  EXPECT_THROW((void)spawn(answer()), LookupError);
  try {
    (void)Loop::current();
  } catch (const LookupError& e) {
    EXPECT_NE(std::string(e.what()).find("LoopHandle::current()"), std::string::npos);
  }
}

TEST(Loop, ATaskThatAwaitsItselfIsTold) {
  auto loop = make();
  JoinHandle<void> handle;
  const auto itself = [&]() -> Task<> { co_await handle; };
  const auto test = [&]() -> Task<> {
    handle = spawn(itself());
    EXPECT_THROW(co_await handle, DeadlockError);
  };
  loop->run(test());
}

// --- options

TEST(Loop, ReportsWhatNobodyAwaitsOnce) {
  Reports reports;
  {
    auto loop = make(reports.options());
    const auto test = []() -> Task<> {
      (void)spawn(failing(), "dropped");
      { const JoinHandle<int> kept = spawn(failing(), "kept"); co_await sleep_for(absl::Microseconds(1)); }
      JoinHandle<int> awaited = spawn(failing(), "awaited");
      EXPECT_THROW((void)co_await awaited, std::out_of_range);
      JoinHandle<void> cancelled = spawn(sleep_for(absl::InfiniteDuration()), "cancelled");
      cancelled.cancel();
      co_await sleep_for(absl::Microseconds(1));
    };
    loop->run(test());
  }
  EXPECT_EQ(reports.all, (std::vector<std::string>{"dropped: mine", "kept: mine"}));
}

TEST(Loop, ReportsOnStderrByDefault) {
  auto loop = make();
  const auto test = []() -> Task<> {
    (void)spawn(failing(), "the name");
    co_await sleep_for(absl::Microseconds(1));
  };
  ::testing::internal::CaptureStderr();
  loop->run(test());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "weir: unhandled exception in task 'the name': mine\n");
}

TEST(Loop, NamesATaskThatBlocksIt) {
  LoopOptions options;
  options.stall_threshold = absl::Milliseconds(20);
  testing::ScriptedLoop loop({}, options);
  const auto blocking = [&]() -> Task<> {
    loop.kernel.advance(19'999'999);
    co_await yield();
    loop.kernel.advance(21'500'000);
    co_await yield();
    loop.kernel.advance(1000);
  };
  const auto test = [&]() -> Task<> { co_await spawn(blocking(), "slow one"); };
  ::testing::internal::CaptureStderr();
  loop->run(test());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "weir: task 'slow one' blocked its loop for 21.5 ms\n");
}

TEST(Loop, PinsItsThread) {
  const int cpu = ::sched_getcpu();
  ASSERT_GE(cpu, 0);
  std::thread([cpu] {
    LoopOptions options;
    options.cpu = cpu;
    auto loop = make(options);
    loop->run(yield());
    cpu_set_t set;
    ASSERT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
    EXPECT_EQ(CPU_COUNT(&set), 1);
    EXPECT_TRUE(CPU_ISSET(cpu, &set));
  }).join();
}

TEST(Loop, SaysWhichCpuItCannotHave) {
  LoopOptions options;
  options.cpu = 100'000;
  auto loop = make(options);
  for (int i = 0; i < 2; ++i) {  // each run says so: none runs where it must not
    try {
      (void)loop->run(answer());
      ADD_FAILURE() << "pinned";
    } catch (const std::runtime_error& e) {
      EXPECT_NE(std::string(e.what()).find("100000"), std::string::npos) << e.what();
    }
  }
}

TEST(Loop, IsPinnedOnceThatSucceeds) {
  testing::ScriptedLoop loop({}, {.cpu = 3});
  loop.kernel.pin_error = EBUSY;
  EXPECT_THROW((void)loop->run(answer()), std::runtime_error);
  loop.kernel.pin_error = 0;
  EXPECT_EQ(loop->run(answer()), 42);
  EXPECT_EQ(loop.kernel.pinned_cpu, 3);
  loop.kernel.pinned_cpu = -1;
  EXPECT_EQ(loop->run(answer()), 42);
  EXPECT_EQ(loop.kernel.pinned_cpu, -1);  // it is already
}

TEST(Loop, CreationFailsWithoutAnEventfd) {
  testing::FakeKernel kernel;
  kernel.eventfd_error = EMFILE;
  const auto loop = internal::LoopAccess::create(std::make_unique<testing::ScriptedRing>(kernel), kernel, {});
  ASSERT_FALSE(loop.ok());
  EXPECT_NE(std::string(loop.status().message()).find("eventfd"), std::string::npos);
}

TEST(Loop, RunFailsWhenTheRingCannotBeEnabled) {
  testing::ScriptedLoop loop({.enable_result = -EBADFD});
  EXPECT_THROW((void)loop->run(answer()), std::runtime_error);
}

TEST(Loop, StatsCountWhatThereIs) {
  auto loop = make();
  const auto test = [&]() -> Task<> {
    JoinHandle<void> sleeper = spawn(sleep_for(absl::Hours(1)));
    JoinHandle<void> for_ever = spawn(sleep_for(absl::InfiniteDuration()));
    co_await sleep_for(absl::Microseconds(1));
    const LoopStats stats = loop->stats();
    EXPECT_EQ(stats.tasks, 3u);
    EXPECT_LE(stats.operations, 1u);  // the wake-up
    EXPECT_GE(stats.turns, 1u);
    sleeper.cancel();
    for_ever.cancel();
    co_await sleep_for(absl::Microseconds(1));
    EXPECT_EQ(loop->stats().tasks, 1u);
  };
  loop->run(test());
  EXPECT_EQ(loop->stats().tasks, 0u);
}

static_assert(!std::is_aggregate_v<JoinHandle<int>> && !std::is_aggregate_v<LoopHandle>);
static_assert(std::is_aggregate_v<LoopOptions> && std::is_trivially_destructible_v<LoopOptions>);

}  // namespace
}  // namespace weir
