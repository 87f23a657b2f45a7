// How costs grow with size: the rows "grow/NAME/SIZE", a line for each NAME.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "weir/tools/bench/row.h"

namespace weir::bench {

class Growth {
 public:
  std::string name, what, failure;                  // failure: of the first size that could not be measured
  std::vector<std::pair<uint64_t, Median>> costs;   // of an item, in nanoseconds, by size

  // The cost at the largest size, divided by that at the smallest: 1 is flat.
  double factor() const { return costs.empty() ? NAN : costs.back().second.value / costs.front().second.value; }
};

// Of the rows that are such; the others are left out.
std::vector<Growth> growths(const std::vector<RowResult>& results);

// For a terminal.
std::string growth_as_text(const std::vector<RowResult>& results);

// Cost by size, both on logarithmic scales, drawn by gnuplot. Empty, or why there is no chart.
std::string draw_growth(const std::vector<RowResult>& results, const std::string& file);

}  // namespace weir::bench
