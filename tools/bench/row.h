// A row of the table: what is measured on which sides, and what weir must reach.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "weir/tools/bench/side.h"
#include "weir/tools/bench/statistics.h"

namespace weir::bench {

inline constexpr double kNoGoal = std::numeric_limits<double>::infinity();

// Limits for weir; each is missed when the whole 95 % interval lies above it.
struct Goals {
  double ratio = kNoGoal;       // weir's value divided by the first other side's, pair by pair
  double difference = kNoGoal;  // weir's value less the first other side's
  double value = kNoGoal;       // weir's value alone
  double calls = kNoGoal;       // system calls per operation
};

struct NamedSide {
  std::string name;
  MakeSide make;
};

struct Row {
  std::string name;                // such as "nop/32", for --filter
  std::string what;                // in words
  std::string unit = "ns";
  Goals goals = {};
  std::vector<NamedSide> sides;    // weir's first; next its raw twin, if it has one; then peers
  uint64_t count = 0;              // operations a round; 0: as many as fill the round's time
  int rounds = 0;                  // 0: as many as the run's settings say
  uint64_t count_min = 1;          // fewer say nothing, however long they take
};

struct SideResult {
  std::string name;
  Median value;
  Median ratio;        // to weir's: weir's value divided by this side's; unused for weir itself
  double cpu_ns = NAN;
  double calls = NAN;
};

struct RowResult {
  std::string name, what, unit;
  Goals goals = {};
  std::vector<SideResult> sides;
  Median difference;               // weir's value less the first other side's
  uint64_t count = 0;              // operations a round
  int rounds = 0;
  std::string failure;             // not empty: it could not be measured, and why

  // Names the goals that are missed; empty if none.
  std::string missed() const;
};

struct Settings {
  int rounds = 31;
  double round_ms = 20;
  bool quick = false;
};

// Makes the sides, warms them up, and lets them take turns, the order reversed every second time.
RowResult measure(const Row& row, const Settings& settings);

}  // namespace weir::bench
