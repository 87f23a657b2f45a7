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

// A quarter of a minute, times $WEIR_STORM; each storm at least once.
TEST(Storm, NothingIsLost) {
  const char* const factor = std::getenv("WEIR_STORM");
  const double minutes = 0.25 * (factor != nullptr ? std::atof(factor) : 1);
  Subprocess run(storm({"--operations=5000", "--minutes=" + std::to_string(minutes)}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_EQ(run.errors(), "");
  EXPECT_NE(run.output().find("--only=everything "), std::string::npos) << run.output();
  EXPECT_NE(run.output().find("nothing was lost"), std::string::npos) << run.output();
}

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
