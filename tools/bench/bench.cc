// bench: what weir's operations cost, beside the least code that can do the same job, and beside its peers.
//
//   bazel run //tools/bench -- [--filter=REGEX] [--json=FILE] [--plot=FILE.svg] [--markdown] [--quick] [--list]
//   bazel run //tools/bench -- --grow              the cost of one among ten thousand, a million: is it the same?
//   bazel run //tools/bench -- --services          weir's programs beside nginx, redis-server and Python's asyncio
//
// The sides of a row take turns in one process, so that a machine that slows down slows all of them. What is told is the
// median of the ratios, pair by pair, and the interval that holds the true median with 95 %. A goal is missed when that
// whole interval lies above it. It exits with 0 either way.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <regex>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "weir/runtime/kernel_support.h"
#include "weir/tools/bench/awake.h"
#include "weir/tools/bench/growth.h"
#include "weir/tools/bench/peers/peers.h"
#include "weir/tools/bench/report.h"
#include "weir/tools/bench/rows.h"
#include "weir/tools/bench/services/services.h"

ABSL_FLAG(std::string, filter, "", "Only rows whose name has a match of this regular expression.");
ABSL_FLAG(std::string, json, "", "Writes the results to this file, too.");
ABSL_FLAG(std::string, plot, "", "Draws the ratios into this SVG file; needs gnuplot.");
ABSL_FLAG(bool, grow, false, "Other rows: what an item costs while 100, 1000 ... of them are there at once.");
ABSL_FLAG(bool, services, false, "Instead: weir's programs beside nginx, redis-server and asyncio, under load.");
ABSL_FLAG(bool, markdown, false, "Prints the table of README.md instead.");
ABSL_FLAG(bool, quick, false, "Short rounds, fewer of them: within a minute, with wider intervals.");
ABSL_FLAG(bool, awake, true, "Keeps the processors from falling asleep, whose waking would hide what is measured.");
ABSL_FLAG(bool, list, false, "Only names the rows.");

namespace weir::bench {
namespace {

Rows rows_of_the_table(const Settings& settings) {
  Rows rows;
  add_await_rows(rows);
  add_thread_rows(rows, settings);
  add_stream_rows(rows);
  add_echo_rows(rows);
  add_lag_rows(rows, settings);
  add_file_rows(rows);
  add_deadline_rows(rows, settings);
  add_memory_rows(rows, settings);
  return rows;
}

Rows rows_that_grow(const Settings& settings) {
  Rows rows;
  add_grow_rows(rows, settings);
  return rows;
}

std::string text_of(const std::vector<RowResult>& results) {
  if (absl::GetFlag(FLAGS_grow)) return growth_as_text(results);
  return absl::GetFlag(FLAGS_markdown) ? as_markdown(results) : as_text(results);
}

int bench() {
  Settings settings;
  settings.quick = absl::GetFlag(FLAGS_quick);
  if (settings.quick) {
    settings.rounds = 9;
    settings.round_ms = 4;
  }
  const bool grow = absl::GetFlag(FLAGS_grow);
  const Rows rows = grow ? rows_that_grow(settings) : rows_of_the_table(settings);
  if (absl::GetFlag(FLAGS_list)) {
    for (const Row& row : rows) std::printf("%-20s %s\n", row.name.c_str(), row.what.c_str());
    return 0;
  }
  if (const absl::Status support = kernel_support(); !support.ok()) {
    std::fprintf(stderr, "bench: %s\n", std::string(support.message()).c_str());
    return 0;
  }
  if (absl::GetFlag(FLAGS_services)) {
    std::cout << compare_services(settings) << std::flush;
    return 0;
  }
  for (const std::string& peer : peers::missing()) {
    std::fprintf(stderr, "bench: %s is not installed and is left out; tools/setup --bench installs it\n", peer.c_str());
  }
  std::optional<Awake> awake;
  if (absl::GetFlag(FLAGS_awake)) awake.emplace();
  const std::regex filter(absl::GetFlag(FLAGS_filter));
  std::vector<RowResult> results;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!std::regex_search(rows[i].name, filter)) continue;
    if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K%zu of %zu: %s", i + 1, rows.size(), rows[i].name.c_str());
    results.push_back(measure(rows[i], settings));
  }
  if (isatty(STDERR_FILENO)) std::fputs("\r\033[K", stderr);

  std::cout << text_of(results) << std::flush;
  if (const std::string file = absl::GetFlag(FLAGS_json); !file.empty()) {
    std::ofstream json(file);
    json << as_json(results) << std::flush;
    if (!json) std::fprintf(stderr, "bench: %s cannot be written\n", file.c_str());
  }
  if (const std::string file = absl::GetFlag(FLAGS_plot); !file.empty()) {
    const std::string problem = grow ? draw_growth(results, file) : draw(results, file);
    if (!problem.empty()) std::fprintf(stderr, "bench: no chart: %s\n", problem.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  // `bazel run` starts it elsewhere; files are meant to be where the user is.
  if (const char* folder = std::getenv("BUILD_WORKING_DIRECTORY"); folder != nullptr && chdir(folder) != 0) return 2;
  absl::SetProgramUsageMessage("Measures what weir's operations cost, beside raw twins and peers.");
  absl::ParseCommandLine(argc, argv);
  try {
    return weir::bench::bench();
  } catch (const std::regex_error& error) {
    std::fprintf(stderr, "bench: --filter is no regular expression: %s\n", error.what());
    return 2;
  }
}
