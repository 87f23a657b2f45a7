// Storms over everything between threads and loops: calls, streams, channels, sync_await, separate threads, on, post, and
// all of them together, with cancels, deadlines, failures, drops and ends of the loop at random points.
//
//   bazel run //tools:storm -- --minutes=10
//   bazel run //tools:storm -- --seed=17 --only=streams     again what went wrong, as far as threads can be repeated
//
// Each round has a seed, makes its loops and its pool, and ends them. After it nothing is in flight, the counters add up,
// and descriptors, threads and memory are back. Exit status: 0; 1 when something was wrong, with the seed.
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/time/clock.h"
#include "weir/tools/storm/resources.h"
#include "weir/tools/storm/round.h"

ABSL_FLAG(double, minutes, 0, "how long; at least one round of each storm");
ABSL_FLAG(uint64_t, seed, 0, "of the first round, the next ones count on; 0: a random one");
ABSL_FLAG(std::vector<std::string>, only, {}, "these storms only: calls, streams, channels, sync_await, separate, on, post, everything");
ABSL_FLAG(int, operations, 20'000, "about so many in each storm");
ABSL_FLAG(absl::Duration, patience, absl::Minutes(5), "a round that takes longer hangs");

namespace {

// Ends the process when a round hangs.
class Watch {
 public:
  explicit Watch(std::string round) : thread_([this, name = std::move(round)] { wait(name); }) {}
  ~Watch() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void wait(const std::string& round) {
    std::unique_lock lock(mutex_);
    const auto patience = absl::ToChronoMilliseconds(absl::GetFlag(FLAGS_patience));
    if (changed_.wait_for(lock, patience, [this] { return over_; })) return;
    std::fprintf(stderr, "storm: %s: hangs\n", round.c_str());
    ::_exit(1);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

std::vector<storm::Primitive> chosen(const std::vector<std::string>& names) {
  std::vector<storm::Primitive> all;
  for (const storm::Primitive& primitive : storm::primitives()) {
    if (names.empty() || std::ranges::find(names, primitive.name) != names.end()) all.push_back(primitive);
  }
  return all;
}

struct Total {
  uint64_t rounds = 0;
  uint64_t operations = 0;
  uint64_t cancelled = 0;
};

// A line each; on a terminal one line that changes.
void tell(const std::string& line) {
  static const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  std::fputs(((terminal ? "\r\x1b[K" : "") + line + (terminal ? "" : "\n")).c_str(), stdout);
  std::fflush(stdout);
}

std::string counts(const Total& total) {
  return std::to_string(total.rounds) + " rounds, " + std::to_string(total.operations) + " operations, " +
         std::to_string(total.cancelled) + " cancelled";
}

bool round(const storm::Primitive& primitive, uint64_t seed, Total& total) {
  const std::string name = "--seed=" + std::to_string(seed) + " --only=" + primitive.name;
  tell(name + "  (" + counts(total) + ")");
  storm::Round done;
  {
    const Watch watch(name);
    done = storm::run_round(primitive, seed, absl::GetFlag(FLAGS_operations));
  }
  ++total.rounds;
  total.operations += done.operations;
  total.cancelled += done.cancelled;
  for (const std::string& what : done.findings) std::fprintf(stderr, "\nstorm: %s: %s\n", name.c_str(), what.c_str());
  return done.findings.empty();
}

bool all_is_back(const storm::Resources& before, uint64_t seed) {
  const std::string lost = storm::lost_since(before);
  if (lost.empty()) return true;
  std::fprintf(stderr, "\nstorm: up to --seed=%s: %s\n", std::to_string(seed).c_str(), lost.c_str());
  return false;
}

bool blow(const std::vector<storm::Primitive>& storms) {
  const absl::Time end = absl::Now() + absl::GetFlag(FLAGS_minutes) * absl::Minutes(1);
  uint64_t seed = absl::GetFlag(FLAGS_seed);
  if (seed == 0) seed = std::random_device{}();
  Total total;
  std::thread([] {}).join();  // the first one brings what a sanitizer keeps for good
  absl::SleepFor(absl::Milliseconds(10));
  storm::Resources before = storm::resources();
  for (bool first = true; first || absl::Now() < end; first = false) {
    for (const storm::Primitive& primitive : storms) {
      if (!first && absl::Now() >= end) break;
      if (!round(primitive, seed++, total)) return false;
      const long heap_bytes = storm::resources().heap_bytes;
      if (first) before.heap_bytes = std::max(before.heap_bytes, heap_bytes);  // what is kept for the next time
      if (!all_is_back(before, seed - 1)) return false;
    }
  }
  tell(counts(total) + ": nothing was lost");
  if (::isatty(STDOUT_FILENO) == 1) std::puts("");
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "storms over everything between threads and loops, and checks that nothing is lost.\n"
      "usage: storm [--minutes=N] [--seed=N] [--only=NAME,…]");
  absl::ParseCommandLine(argc, argv);
  const std::vector<std::string> names = absl::GetFlag(FLAGS_only);
  const std::vector<storm::Primitive> storms = chosen(names);
  if (storms.empty() || storms.size() < names.size()) {
    std::fputs("storm: --only takes calls, streams, channels, sync_await, separate, on, post, everything\n", stderr);
    return 1;
  }
  return blow(storms) ? 0 : 1;
}
