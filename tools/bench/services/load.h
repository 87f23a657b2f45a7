// What load generators say of a service.
#pragma once

#include <cmath>
#include <optional>

#include "absl/strings/string_view.h"

namespace weir::bench {

class Load {
 public:
  double rate = NAN;      // requests a second
  double requests = NAN;  // NAN: not told
  double p50_us = NAN;    // latency; NAN: not told
  double p99_us = NAN;
};

// Of `wrk --latency`. nullopt: it is none, or the service answered with errors.
std::optional<Load> parse_wrk(absl::string_view output);

// Of `redis-benchmark --csv` with one test. Old ones tell the rate only.
std::optional<Load> parse_redis_benchmark(absl::string_view output);

}  // namespace weir::bench
