// Medians and their intervals, from order statistics: nothing is assumed about how measurements are spread.
#pragma once

#include <vector>

namespace weir::bench {

// The middle of what was measured, and where the true median lies with at least 95 % (less than six values: from the
// smallest to the largest).
struct Median {
  double value = 0;
  double low = 0;
  double high = 0;
};

// Of at least one value.
Median median_of(std::vector<double> values);

// The value below which `fraction` of them lie: 0.5 is the median, 0.99 the 99th percentile. Of at least one value.
double quantile(std::vector<double> values, double fraction);

}  // namespace weir::bench
