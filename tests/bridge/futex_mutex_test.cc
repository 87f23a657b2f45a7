#include "weir/bridge/futex_mutex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "weir/tests/testing/explorer.h"
#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace {

TEST(FutexMutex, OneHolderAtATime) {
  FutexMutex<> mutex;
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST(FutexMutex, CountsUnderContention) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  FutexMutex<> mutex;
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        std::lock_guard lock(mutex);
        ++count;
        if (round % 1000 == 0) std::this_thread::yield();  // others go to sleep meanwhile
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kRounds);
}

// Three threads, in every interleaving: one at a time, and each gets its turn.
weir::testing::ExplorerResult explore_three_threads() {
  namespace testing = weir::testing;
  return testing::explore({.preemptions = 2, .stale_reads = 1}, [] {
    struct State {
      FutexMutex<testing::ExplorerThreads> mutex;
      testing::Tracked<> count{0};
    };
    auto state = std::make_shared<State>();
    auto add = [state] {
      std::lock_guard lock(state->mutex);
      state->count = testing::Tracked<>(state->count.value() + 1);
    };
    return testing::Scenario{{add, add, add}, [state] { testing::require(state->count.value() == 3, "a turn is lost"); }};
  });
}

TEST(FutexMutex, ExcludesInEveryInterleaving) { weir::testing::expect_proven(explore_three_threads()); }

TEST(FutexMutex, MindsNoSurprise) { weir::testing::expect_proven_with_surprises({explore_three_threads}); }

TEST(FutexMutex, NeedsEveryOrderAndItsWake) {
  if (weir::testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const weir::testing::MutationReport report = weir::testing::mutate({explore_three_threads});
  EXPECT_GE(report.mutants, 6);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  EXPECT_THAT(report.unheard, ::testing::ElementsAre());
}

}  // namespace
}  // namespace weir::internal
