// How long the tests' storms are.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace weir::testing {

// $WEIR_STORM, else 1: 0.1 where instrumented code is slow, more for a long search.
inline double storm_factor() {
  const char* const text = std::getenv("WEIR_STORM");
  return text == nullptr ? 1.0 : std::atof(text);
}

// `count` times the factor, at least one.
inline int storm(int count) { return std::max(1, static_cast<int>(count * storm_factor())); }

}  // namespace weir::testing
