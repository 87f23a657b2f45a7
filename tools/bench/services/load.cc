#include "weir/tools/bench/services/load.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace weir::bench {
namespace {

// "533.00us", "1.5ms", "2.01s"; else NAN.
double microseconds(absl::string_view text) {
  double factor = 1e6;
  if (absl::ConsumeSuffix(&text, "us")) {
    factor = 1;
  } else if (absl::ConsumeSuffix(&text, "ms")) {
    factor = 1e3;
  } else if (!absl::ConsumeSuffix(&text, "s")) {
    return NAN;
  }
  double number = 0;
  return absl::SimpleAtod(text, &number) ? number * factor : NAN;
}

}  // namespace

std::optional<Load> parse_wrk(absl::string_view output) {
  if (absl::StrContains(output, "Socket errors") || absl::StrContains(output, "Non-2xx")) return std::nullopt;
  Load load;
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() > 2 && words[1] == "requests" && !absl::SimpleAtod(words[0], &load.requests)) return std::nullopt;
    if (words.size() != 2) continue;
    if (words[0] == "50%") load.p50_us = microseconds(words[1]);
    if (words[0] == "99%") load.p99_us = microseconds(words[1]);
    if (words[0] == "Requests/sec:" && !absl::SimpleAtod(words[1], &load.rate)) return std::nullopt;
  }
  if (std::isnan(load.rate)) return std::nullopt;
  return load;
}

std::optional<Load> parse_redis_benchmark(absl::string_view output) {
  std::vector<std::string> titles;
  for (const absl::string_view line : absl::StrSplit(output, '\n', absl::SkipWhitespace())) {
    if (!absl::StartsWith(line, "\"")) continue;
    const std::vector<std::string> fields = absl::StrSplit(absl::StripSuffix(line, "\r"), ',');
    if (fields[0] == "\"test\"") {
      titles = fields;
      continue;
    }
    const auto number = [&fields](size_t field, double factor, double& out) {
      const absl::string_view text = absl::StripPrefix(absl::StripSuffix(fields[field], "\""), "\"");
      const bool is_one = absl::SimpleAtod(text, &out);
      out *= factor;
      return is_one;
    };
    Load load;
    if (fields.size() < 2 || !number(1, 1, load.rate)) return std::nullopt;
    for (size_t i = 0; i < titles.size() && i < fields.size(); ++i) {
      if (titles[i] == "\"p50_latency_ms\"" && !number(i, 1e3, load.p50_us)) return std::nullopt;
      if (titles[i] == "\"p99_latency_ms\"" && !number(i, 1e3, load.p99_us)) return std::nullopt;
    }
    return load;
  }
  return std::nullopt;
}

}  // namespace weir::bench
