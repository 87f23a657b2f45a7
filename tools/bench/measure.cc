#include <algorithm>
#include <cmath>
#include <exception>

#include "weir/tools/bench/row.h"

namespace weir::bench {
namespace {

constexpr uint64_t kCountMax = uint64_t{1} << 28;

// The best of three: a machine that does something else meanwhile makes it longer, nothing makes it shorter.
double fastest_ns(Side& side, uint64_t count, double enough_ns) {
  double fastest = HUGE_VAL;
  for (int i = 0; i < 3; ++i) {
    const int64_t before = now_ns();
    side.run(count);
    fastest = std::min(fastest, static_cast<double>(std::max<int64_t>(1, now_ns() - before)));
    if (fastest < enough_ns) break;
  }
  return fastest;
}

// How many operations fill a round's time, by the slowest side; each side has been warmed up afterwards.
uint64_t fitting_count(std::vector<std::unique_ptr<Side>>& sides, double round_ns) {
  uint64_t fitting = kCountMax;
  for (auto& side : sides) {
    uint64_t count = 1;
    for (;;) {
      const double took = fastest_ns(*side, count, round_ns / 4);
      if (took >= round_ns / 4 || count >= kCountMax) {
        fitting = std::min(fitting, static_cast<uint64_t>(static_cast<double>(count) * round_ns / took));
        break;
      }
      count = std::min(kCountMax, std::max(count + 1, static_cast<uint64_t>(static_cast<double>(count) *
                                                                            std::min(8.0, round_ns / 3 / took))));
    }
  }
  return std::max<uint64_t>(1, fitting);
}

double median_or_nan(const std::vector<Measured>& rounds, double Measured::*member) {
  std::vector<double> values;
  for (const Measured& round : rounds) {
    if (!std::isnan(round.*member)) values.push_back(round.*member);
  }
  return values.empty() ? NAN : median_of(std::move(values)).value;
}

template <class Combine>
Median median_of_pairs(const std::vector<Measured>& weir, const std::vector<Measured>& other, Combine combine) {
  std::vector<double> values;
  for (size_t i = 0; i < weir.size(); ++i) values.push_back(combine(weir[i].value, other[i].value));
  return median_of(std::move(values));
}

void measure_into(RowResult& result, const Row& row, const Settings& settings) {
  std::vector<std::unique_ptr<Side>> sides;
  for (const NamedSide& side : row.sides) sides.push_back(side.make());
  result.rounds = row.rounds != 0 ? std::min(row.rounds, settings.rounds) : settings.rounds;
  result.count = row.count != 0 ? row.count : std::max(row.count_min, fitting_count(sides, settings.round_ms * 1e6));

  std::vector<std::vector<Measured>> measured(sides.size());
  for (int round = 0; round < result.rounds; ++round) {
    for (size_t i = 0; i < sides.size(); ++i) {
      const size_t turn = round % 2 == 0 ? i : sides.size() - 1 - i;
      measured[turn].push_back(sides[turn]->run(result.count));
    }
  }
  for (size_t i = 0; i < sides.size(); ++i) {
    SideResult side;
    side.name = row.sides[i].name;
    std::vector<double> values;
    for (const Measured& round : measured[i]) values.push_back(round.value);
    side.value = median_of(std::move(values));
    side.ratio = median_of_pairs(measured[0], measured[i], [](double weir, double other) { return weir / other; });
    side.cpu_ns = median_or_nan(measured[i], &Measured::cpu_ns);
    side.calls = median_or_nan(measured[i], &Measured::calls);
    result.sides.push_back(std::move(side));
  }
  if (sides.size() > 1) {
    result.difference = median_of_pairs(measured[0], measured[1], [](double weir, double other) { return weir - other; });
  }
}

}  // namespace

RowResult measure(const Row& row, const Settings& settings) {
  RowResult result;
  result.name = row.name;
  result.what = row.what;
  result.unit = row.unit;
  result.goals = row.goals;
  try {
    measure_into(result, row, settings);
  } catch (const std::exception& error) {
    result.failure = error.what();
  }
  return result;
}

std::string RowResult::missed() const {
  std::string missed;
  const auto check = [&missed](bool above, const char* goal) {
    if (above) missed += (missed.empty() ? "" : ", ") + std::string(goal);
  };
  if (sides.empty()) return missed;
  if (sides.size() > 1) {
    check(sides[1].ratio.low > goals.ratio, "ratio");
    check(difference.low > goals.difference, "difference");
  }
  check(sides[0].value.low > goals.value, "value");
  check(sides[0].calls > goals.calls, "system calls");
  return missed;
}

}  // namespace weir::bench
