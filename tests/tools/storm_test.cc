// A short storm, run as a user runs it: tools/storm, or the program that $STORM names. $WEIR_STORM makes it longer.
#include <cstdlib>

#include "subprocess.h"

namespace weir::tests {
namespace {

std::vector<std::string> storm(std::vector<std::string> arguments) {
  const char* other = std::getenv("STORM");
  arguments.insert(arguments.begin(), other != nullptr ? other : "tools/storm");
  return arguments;
}

// A minute in all, times $WEIR_STORM; each storm at least once.
class StormOf : public ::testing::TestWithParam<const char*> {};

TEST_P(StormOf, NothingIsLost) {
  const char* const factor = std::getenv("WEIR_STORM");
  const double minutes = 0.25 * (factor != nullptr ? std::atof(factor) : 1);
  const std::string names = GetParam();
  Subprocess run(storm({"--operations=5000", "--minutes=" + std::to_string(minutes), "--only=" + names}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_EQ(run.errors(), "");
  const std::string last = names.substr(names.find_last_of(',') + 1);
  EXPECT_NE(run.output().find("--only=" + last + " "), std::string::npos) << run.output();
  EXPECT_NE(run.output().find("nothing was lost"), std::string::npos) << run.output();
}

INSTANTIATE_TEST_SUITE_P(Storm, StormOf,
                         ::testing::Values("calls,streams", "channels,sync_await", "separate,on,post", "everything"));

TEST(Storm, ItsSeedsAreTold) {
  Subprocess run(storm({"--operations=10", "--seed=17", "--only=post,on"}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_NE(run.output().find("--seed=17 --only=on "), std::string::npos) << run.output();
  EXPECT_NE(run.output().find("--seed=18 --only=post "), std::string::npos) << run.output();
}

TEST(Storm, AHangIsARoundThatFails) {
  Subprocess run(storm({"--operations=1000000", "--seed=17", "--only=calls", "--patience=1ms"}));
  EXPECT_EQ(run.wait(), 1);
  EXPECT_EQ(run.errors(), "storm: --seed=17 --only=calls: hangs\n");
}

TEST(Storm, WhatItDoesNotKnow) {
  Subprocess run(storm({"--only=calls,nothing"}));
  EXPECT_EQ(run.wait(), 1);
  EXPECT_EQ(run.errors(), "storm: --only takes calls, streams, channels, sync_await, separate, on, post, everything\n");
}

}  // namespace
}  // namespace weir::tests
