// Runs a protocol of threads through every interleaving, within a bound, over the real code.
//
//   auto result = explore({.preemptions = 2}, [] {
//     auto ring = std::make_shared<BoundedRing<int, ExplorerThreads>>(…);
//     return Scenario{{[ring] { ring->put(1); }, [ring] { … }}, [ring] { require(…, "what"); }};
//   });
//   EXPECT_EQ(result.failure, "");
//
// The code under test takes its atomics, its futex and its fences from a class `Threads`; here that is ExplorerThreads,
// whose every operation is a point where another thread may go on. Threads are fibers on one thread. A run follows one
// path of choices; the next run differs in the last choice that has an alternative left, until none is left.
//
// Memory is explored_atomic.h's: loads may give old values that their memory orders allow. A deadline comes at any time, or
// never; of the sleepers on one word, any may be the one that is woken. Bounds: how often a thread that could go on is
// interrupted (`preemptions`; once, where $WEIR_STORM says that code is slow), how many loads give an old value
// (`stale_reads`), and how many weak compare-exchanges fail, and sleeps end, for no reason (`surprises`).
//
// A run fails when require() says so, at a data race between touches of a Tracked, and when threads are left that nobody
// will wake: a hang. Objects on the stacks of such threads are not destroyed, so they should own nothing.
//
// mutate() then weakens the code under test, one place at a time, and tells which changes no scenario notices.
#pragma once

#include <climits>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/tests/testing/explored_atomic.h"

namespace weir::testing {

struct ExplorerLimits {
  int preemptions = 2;
  int stale_reads = 1;
  int surprises = 0;
  int64_t runs = 1'000'000;
};

struct Scenario {
  std::vector<std::function<void()>> threads;
  std::function<void()> check;  // after all have ended
};

struct ExplorerResult {
  std::string failure;    // empty: none; else what, and the schedule that led there
  int64_t runs = 0;
  bool complete = false;  // every path within the limits was run
};

ExplorerResult explore(const ExplorerLimits& limits, const std::function<Scenario()>& make);

// In a test: every path was run, and none failed.
void expect_proven(const ExplorerResult& result);

// The same of explorations that are made once more, narrower, but with a surprise: none of them minds.
using Explorations = std::vector<std::function<ExplorerResult()>>;
void expect_proven_with_surprises(const Explorations& explorations);

// In a thread or a check.
void require(bool condition, const char* what);

// One change at a time, wherever one of `explorations` comes by, but in files of tests:
//   - an order is one step weaker;
//   - a wake-up, or a heavy fence, is left out;
//   - a load tells nothing new: it gives what its thread saw last, as if the thread did not look again;
//   - a thread sleeps although the futex's word has changed;
//   - a compare-exchange changes the word whatever is there;
//   - another exchange tells nothing new, though it changes the word.
// What no exploration notices, each as "function: change".
struct MutationOptions {
  std::string_view only_in = "";       // files: part of their name
  std::string_view but_in = "(none)";  // files that have a test of their own
  bool comparisons = true;             // false: with the last change but one the code would crash
  bool answers = true;                 // false: with the last change it would crash, or nobody wants to know
};
struct MutationReport {
  std::vector<std::string> survivors;  // should be none
  std::vector<std::string> hints;      // loads that may as well tell nothing new, as what follows them decides
  std::vector<std::string> unheard;    // likewise exchanges, made for what they change
  int mutants = 0;
};
MutationReport mutate(const Explorations& explorations, const MutationOptions& options = {});

struct ExplorerThreads {
  template <class T>
  using Atomic = ExploredAtomic<T>;

  struct Parked {};

  static constexpr int kSpins = 1;  // an uncontended lock makes no system call, which would be a fence
  static void pause() {}

  static bool wait(const Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns = INT64_MAX,
                   const Place& place = Place::current()) {
    using explorer_internal::Sleep;
    explorer_internal::step("wait");
    explorer_internal::system_call();
    if (!explorer_internal::left_out(place, "sleep without a look") && word.look() != expected) return true;
    return explorer_internal::sleep_on(&word, deadline_ns == INT64_MAX ? Sleep::kFutex : Sleep::kFutexWithDeadline);
  }
  static void wake(const Atomic<uint32_t>& word, int count, const Place& place = Place::current()) {
    explorer_internal::step("wake");
    if (explorer_internal::left_out(place, "no wake")) return;
    explorer_internal::system_call();
    explorer_internal::unblock(&word, count);
  }

  static bool has_heavy_fence() { return true; }
  static void heavy_fence(const Place& place = Place::current()) {
    explorer_internal::step("heavy_fence");
    if (!explorer_internal::left_out(place, "no heavy fence")) explorer_internal::fence_all();
  }
  static void light_fence() {}
};

// A flag to wait for, as a loop waits for its inbox: it hands over what was done before, and fences nothing.
class ExploredEvent {
 public:
  void set() {
    flag_.exchange(1, std::memory_order_release);
    explorer_internal::unblock(&flag_, INT_MAX);
  }
  void wait() {
    while (flag_.exchange(0, std::memory_order_acquire) == 0) explorer_internal::sleep_on(&flag_, explorer_internal::Sleep::kEvent);
  }

 private:
  ExploredAtomic<uint32_t> flag_;
};

}  // namespace weir::testing
