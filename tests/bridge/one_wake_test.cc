#include "weir/bridge/one_wake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include "weir/tests/testing/explorer.h"
#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace {

namespace testing = weir::testing;

testing::ExplorerResult explore_one_wake() {
  return testing::explore({.preemptions = 4, .stale_reads = 2}, [] {
    struct State {
      OneWake<testing::ExplorerThreads> ended;
      testing::Tracked<> result{0};
    };
    auto state = std::make_shared<State>();
    return testing::Scenario{{[state] {
                                state->ended.wait();
                                testing::require(state->result.value() == 1, "the result");
                              },
                              [state] {
                                state->result = testing::Tracked<>(1);
                                state->ended.set();
                              }},
                             nullptr};
  });
}

TEST(OneWake, IsNeverLost) { testing::expect_proven(explore_one_wake()); }

TEST(OneWake, MindsNoSurprise) { testing::expect_proven_with_surprises({explore_one_wake}); }

TEST(OneWake, NeedsEveryOrderAndItsWake) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const testing::MutationReport report = testing::mutate({explore_one_wake});
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  EXPECT_THAT(report.unheard, ::testing::ElementsAre());
  EXPECT_THAT(report.hints, ::testing::ElementsAre());
}

TEST(OneWake, WakesAThread) {
  for (int i = 0; i < 1000; ++i) {
    OneWake<> ended;
    int result = 0;
    std::thread other([&] {
      result = 1;
      ended.set();
    });
    ended.wait();
    EXPECT_EQ(result, 1);
    other.join();
  }
}

TEST(SystemThreads, HaveTheHeavyFenceWhereTheKernelHasIt) {
  const long commands = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  EXPECT_EQ(SystemThreads::has_heavy_fence(), commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0);
  if (SystemThreads::has_heavy_fence()) SystemThreads::heavy_fence();
}

}  // namespace
}  // namespace weir::internal
