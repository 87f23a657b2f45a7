#include "weir/tools/bench/growth.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "weir/tools/bench/report.h"

namespace weir::bench {

std::vector<Growth> growths(const std::vector<RowResult>& results) {
  std::vector<Growth> growths;
  for (const RowResult& row : results) {
    const std::vector<std::string> parts = absl::StrSplit(row.name, '/');
    uint64_t size = 0;
    if (parts.size() != 3 || parts[0] != "grow" || !absl::SimpleAtoi(parts[2], &size)) continue;
    if (growths.empty() || growths.back().name != parts[1]) {
      growths.emplace_back();
      growths.back().name = parts[1];
      growths.back().what = row.what;
    }
    Growth& growth = growths.back();
    if (!row.sides.empty()) growth.costs.emplace_back(size, row.sides[0].value);
    if (growth.failure.empty()) growth.failure = row.failure;
  }
  return growths;
}

std::string growth_as_text(const std::vector<RowResult>& results) {
  std::string text = absl::StrCat(machine(), "\n\nnanoseconds an item, while so many are there at once; last the largest size's, divided by the smallest's\n\n");
  absl::StrAppendFormat(&text, "%-10s", "");
  constexpr uint64_t kSizeMax = 1'000'000;
  for (uint64_t size = 100; size <= kSizeMax; size *= 10) absl::StrAppendFormat(&text, "%10d", size);
  text += "\n";
  for (const Growth& growth : growths(results)) {
    absl::StrAppendFormat(&text, "%-10s", growth.name);
    uint64_t size = 100;
    for (const auto& [at, cost] : growth.costs) {
      for (; size < at; size *= 10) absl::StrAppendFormat(&text, "%10s", "");
      absl::StrAppendFormat(&text, "%10.*f", cost.value < 100 ? 1 : 0, cost.value);
      size *= 10;
    }
    for (; size <= kSizeMax; size *= 10) absl::StrAppendFormat(&text, "%10s", "");
    absl::StrAppendFormat(&text, "  %4.1f x  %s\n", growth.factor(), growth.what);
    if (!growth.failure.empty()) absl::StrAppend(&text, "          not measured: ", growth.failure, "\n");
  }
  return text;
}

std::string draw_growth(const std::vector<RowResult>& results, const std::string& file) {
  std::string data, lines;
  for (const Growth& growth : growths(results)) {
    if (growth.costs.empty()) continue;
    const std::string block = absl::StrCat("$", growth.name);
    absl::StrAppend(&data, block, " << END\n");
    for (const auto& [size, cost] : growth.costs) absl::StrAppend(&data, size, "\t", cost.value, "\t", cost.low, "\t", cost.high, "\n");
    data += "END\n";
    absl::StrAppend(&lines, lines.empty() ? "plot " : ", ", block, " using 1:2:3:4 with yerrorlines pt 7 ps 0.5 title ", gnuplot_string(growth.what));
  }
  if (lines.empty()) return "nothing that grows was measured";
  return run_gnuplot(absl::StrCat("set terminal svg size 900,600 font 'sans,11'\nset output ", gnuplot_string(file), "\n", data,
                                  "set title 'Cost of an item, while so many are there at once: flat is the aim'\n",
                                  "set logscale xy\nset xrange [70:1.5e6]\nset xlabel 'how many at once'\nset ylabel 'nanoseconds an item'\n",
                                  "set grid\nset key outside bottom\n", lines, "\n"));
}

}  // namespace weir::bench
