#include "weir/tools/bench/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace weir::bench {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "";
  const double size = std::fabs(value);
  if (size >= 1000) return absl::StrFormat("%.0f", value);
  if (size >= 100) return absl::StrFormat("%.0f", value);
  if (size >= 10) return absl::StrFormat("%.1f", value);
  return absl::StrFormat("%.2f", value);
}

// Large times are told in microseconds or milliseconds.
std::string amount(double value, const std::string& unit) {
  if (unit == "ns" && std::fabs(value) >= 1e6) return number(value / 1e6) + " ms";
  if (unit == "ns" && std::fabs(value) >= 1e3) return number(value / 1e3) + " us";
  return number(value) + (unit.empty() ? "" : " ") + unit;
}

std::string goals_of(const RowResult& row) {
  std::string text;
  const auto add = [&text](double limit, const std::string& goal) {
    if (limit != kNoGoal) absl::StrAppend(&text, text.empty() ? "" : ", ", goal);
  };
  add(row.goals.ratio, absl::StrCat("<= ", number(row.goals.ratio), " x"));
  add(row.goals.difference, absl::StrCat("<= +", amount(row.goals.difference, row.unit)));
  add(row.goals.value, absl::StrCat("<= ", amount(row.goals.value, row.unit)));
  add(row.goals.calls, absl::StrCat("<= ", number(row.goals.calls), " calls"));
  return text;
}

// Undecided: the median lies above a goal, but the interval reaches below it.
std::string verdict(const RowResult& row) {
  if (goals_of(row).empty() || row.sides.empty()) return "";
  if (const std::string missed = row.missed(); !missed.empty()) return absl::StrCat("**missed**: ", missed);
  const bool twin = row.sides.size() > 1;
  const bool above = row.sides[0].value.value > row.goals.value || (twin && row.sides[1].ratio.value > row.goals.ratio) ||
                     (twin && row.difference.value > row.goals.difference);
  return above ? "undecided" : "reached";
}

std::string interval(const Median& median) { return absl::StrCat(number(median.low), "..", number(median.high)); }

void append_sides(std::string& text, const RowResult& row) {
  for (size_t i = 0; i < row.sides.size(); ++i) {
    const SideResult& side = row.sides[i];
    absl::StrAppendFormat(&text, "    %-16s %10s", side.name, amount(side.value.value, row.unit));
    absl::StrAppendFormat(&text, "  %-22s", i == 0 ? "" : absl::StrCat(number(side.ratio.value), " x  ", interval(side.ratio)));
    if (i == 1 && row.goals.difference != kNoGoal) {
      absl::StrAppendFormat(&text, "  + %s  (%s)", amount(row.difference.value, row.unit), interval(row.difference));
    }
    if (!std::isnan(side.cpu_ns)) absl::StrAppendFormat(&text, "  CPU %s", amount(side.cpu_ns, "ns"));
    if (!std::isnan(side.calls)) absl::StrAppendFormat(&text, "  calls %s", number(side.calls));
    while (text.back() == ' ') text.pop_back();
    text += '\n';
  }
}

std::string quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted + '"';
}

std::string json_number(double value) { return std::isfinite(value) ? absl::StrFormat("%.6g", value) : "null"; }

std::string json_median(const Median& median) {
  return absl::StrCat("[", json_number(median.low), ", ", json_number(median.value), ", ", json_number(median.high), "]");
}

// The first line of a file that begins with `key`, behind its colon.
std::string field(const std::string& file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(": ");
    if (line.compare(0, key.size(), key) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace

std::string machine() {
  utsname system;
  uname(&system);
#if defined(__clang__)
  const std::string compiler = absl::StrCat("clang ", __clang_major__, ".", __clang_minor__);
#else
  const std::string compiler = absl::StrCat("g++ ", __GNUC__, ".", __GNUC_MINOR__);
#endif
  return absl::StrCat(sysconf(_SC_NPROCESSORS_ONLN), " x ", field("/proc/cpuinfo", "model name"), ", Linux ", system.release,
                      ", ", compiler);
}

std::string as_text(const std::vector<RowResult>& results) {
  std::string text = absl::StrCat(machine(), "\n");
  std::string short_of;
  for (const RowResult& row : results) {
    const std::string missed = row.missed();
    const std::string goals = goals_of(row);
    absl::StrAppend(&text, "\n", row.name, ": ", row.what, goals.empty() ? "" : absl::StrCat("  [goal ", goals, "]"),
                    missed.empty() ? "" : absl::StrCat("  MISSED: ", missed), "\n");
    if (!row.failure.empty()) absl::StrAppend(&text, "    not measured: ", row.failure, "\n");
    append_sides(text, row);
    if (!missed.empty()) absl::StrAppend(&short_of, "    ", row.name, " (", missed, ")\n");
  }
  absl::StrAppend(&text, "\n", short_of.empty() ? "every goal is reached\n" : absl::StrCat("goals missed:\n", short_of));
  return text;
}

std::string as_markdown(const std::vector<RowResult>& results) {
  std::string text = absl::StrCat(machine(), "\n\n| row | weir | raw | weir / raw (95 %) | goal | | peers |\n",
                                  "| --- | --- | --- | --- | --- | --- | --- |\n");
  for (const RowResult& row : results) {
    if (row.sides.empty()) continue;
    const bool twin = row.sides.size() > 1;
    std::string peers;
    for (size_t i = 2; i < row.sides.size(); ++i) {
      absl::StrAppend(&peers, i == 2 ? "" : ", ", row.sides[i].name, " ", amount(row.sides[i].value.value, row.unit));
    }
    absl::StrAppend(&text, "| ", row.what, " (`", row.name, "`) | ", amount(row.sides[0].value.value, row.unit), " | ",
                    twin ? amount(row.sides[1].value.value, row.unit) : "", " | ",
                    twin ? absl::StrCat(number(row.sides[1].ratio.value), " (", interval(row.sides[1].ratio), ")") : "", " | ",
                    goals_of(row), " | ", verdict(row), " | ", peers, " |\n");
  }
  return text;
}

std::string as_json(const std::vector<RowResult>& results) {
  std::string text = absl::StrCat("{\"machine\": ", quoted(machine()), ",\n \"rows\": [");
  for (size_t i = 0; i < results.size(); ++i) {
    const RowResult& row = results[i];
    absl::StrAppend(&text, i == 0 ? "" : ",", "\n  {\"name\": ", quoted(row.name), ", \"what\": ", quoted(row.what),
                    ", \"unit\": ", quoted(row.unit), ", \"rounds\": ", row.rounds, ", \"operations_a_round\": ", row.count,
                    ", \"failure\": ", quoted(row.failure), ", \"missed\": ", quoted(row.missed()));
    absl::StrAppend(&text, ",\n   \"goals\": {\"ratio\": ", json_number(row.goals.ratio), ", \"difference\": ",
                    json_number(row.goals.difference), ", \"value\": ", json_number(row.goals.value), ", \"calls\": ",
                    json_number(row.goals.calls), "},\n   \"sides\": [");
    for (size_t j = 0; j < row.sides.size(); ++j) {
      const SideResult& side = row.sides[j];
      absl::StrAppend(&text, j == 0 ? "" : ",", "\n    {\"name\": ", quoted(side.name), ", \"value\": ", json_median(side.value),
                      ", \"weir_to_this\": ", json_median(side.ratio), ", \"cpu_ns\": ", json_number(side.cpu_ns),
                      ", \"calls\": ", json_number(side.calls), "}");
    }
    absl::StrAppend(&text, "]}");
  }
  return absl::StrCat(text, "]}\n");
}

}  // namespace weir::bench
