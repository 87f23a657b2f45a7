#include "weir/tools/bench/statistics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

namespace weir::bench {
namespace {

// The largest r for which the true median lies between the r-th smallest and the r-th largest of n values with at least
// 95 %: each side is missed when fewer than r of n fair coins fall on it, so 2 P(Binomial(n, 1/2) < r) <= 5 %.
// Source: David and Nagaraja, "Order Statistics", 3rd edition (2003), section 7.1.
size_t rank_of_bound(size_t n) {
  double term = std::pow(0.5, static_cast<double>(n));  // P(exactly k)
  double below = 0;                                     // P(fewer than k + 1)
  for (size_t k = 0; k < n; ++k) {
    below += term;
    if (2 * below > 0.05) return std::max<size_t>(k, 1);
    term *= static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
  return 1;
}

double middle(const std::vector<double>& sorted) {
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

}  // namespace

Median median_of(std::vector<double> values) {
  assert(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t rank = rank_of_bound(values.size());
  Median median;
  median.value = middle(values);
  median.low = values[rank - 1];
  median.high = values[values.size() - rank];
  return median;
}

double quantile(std::vector<double> values, double fraction) {
  assert(!values.empty());
  const auto index = static_cast<size_t>(fraction * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(index), values.end());
  return values[index];
}

}  // namespace weir::bench
