// One storm for each way between threads and a loop. Each is a coroutine of the loop that does about `operations`
// operations, from several tasks at once, with cancels, deadlines, failures and drops at random points, and checks what it
// sees on the way. The loop may be ended in the middle of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "weir/tools/storm/random.h"
#include "weir/tools/storm/tally.h"
#include "weir/weir.h"

namespace storm {

inline constexpr int kThreads = 8;  // of the loop's pool, and of those that post
inline constexpr int kTasks = 32;   // that do operations at once

// What a storm has; it outlives its loop, so that everything in it may refer to it.
struct Weather {
  explicit Weather(uint64_t seed, int count, weir::LoopHandle neighbour) : random(seed), operations(count), other(neighbour) {}
  Random random;           // for the loop's thread; threads get a part of it
  const int operations;
  const weir::LoopHandle other;  // a second loop, on a thread of its own
  Tally tally;
  Findings findings;

  void expect(bool holds, const char* what) {
    if (!holds) findings.add(what);
  }
};

// What jobs, producers and coroutines throw now and then.
class Thrown : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A job's work: up to some microseconds.
inline void work(Random& random) {
  for (volatile int spin = random.below(2000); spin > 0;) spin = spin - 1;
}

// Runs one operation, and at random: leaves it alone, cancels it after a few turns of the loop, gives it a deadline, or
// lets a thread cancel it.
weir::Task<> disturbed(Weather& weather, weir::Task<> operation);

// kTasks tasks that each do their part of the operations, `one` at a time, which counts for `weight` of them.
using Operation = weir::Task<> (*)(Weather& weather);
weir::Task<> in_parallel(Weather& weather, int weight, Operation one);

weir::Task<> calls(Weather& weather);
weir::Task<> streams(Weather& weather);
weir::Task<> channels(Weather& weather);
weir::Task<> sync_awaits(Weather& weather);
weir::Task<> separates(Weather& weather);
weir::Task<> ons(Weather& weather);
weir::Task<> posts(Weather& weather);
weir::Task<> everything(Weather& weather);

struct Primitive {
  const char* name;
  weir::Task<> (*storm)(Weather& weather);
};
std::span<const Primitive> primitives();

}  // namespace storm
