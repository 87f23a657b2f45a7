#include "weir/tests/testing/explorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "weir/tests/testing/fiber.h"
#include "weir/tests/testing/storm.h"

namespace weir::testing {
namespace {

using explorer_internal::Moment;
using explorer_internal::Oldest;
using explorer_internal::Sleep;
using explorer_internal::View;
using explorer_internal::kAtomicsMax;
using explorer_internal::join;
using explorer_internal::kThreadsMax;

constexpr size_t kStepsMax = 10'000;  // of a run: more is a thread that waits without sleeping

struct ExploredThread {
  std::function<void()> body;
  std::unique_ptr<Fiber> fiber;
  bool done = false;
  const void* blocked_on = nullptr;
  Sleep sleep = Sleep::kEvent;
  bool late = false;
  View view;
};

class Exploration {
 public:
  explicit Exploration(const ExplorerLimits& limits) : limits_(limits) {}

  ExplorerResult run_all(const std::function<Scenario()>& make) {
    ExplorerResult result;
    do {
      run_once(make);
      ++result.runs;
      if (!failure_.empty()) {
        result.failure = failure_ + "\n";
        for (const Step& step : trace_) {
          result.failure += std::to_string(step.thread) + ":" + step.operation + " ";
        }
        return result;
      }
      result.complete = !next_path();
    } while (!result.complete && result.runs < limits_.runs);
    return result;
  }

  bool in_thread() const { return current_ != nullptr; }
  ExploredThread& current() { return *current_; }

  // The current thread is about to do `operation`, or to sleep: another may go on first.
  void yield(const char* operation) {
    trace_.push_back({index_of(*current_), operation});
    if (trace_.size() > kStepsMax) fail("a thread runs for ever");
    go_on_with(trace_.size() > kStepsMax ? nullptr : pick(current_));
  }

  unsigned choose_stale(unsigned older) {
    if (older == 0 || stale_reads_left_ == 0) return 0;
    const int chosen = choose(static_cast<int>(older) + 1);
    if (chosen != 0) {
      --stale_reads_left_;
      trace_.back().operation = "stale load";
    }
    return static_cast<unsigned>(chosen);
  }

  View& my_view() { return current_->view; }
  Oldest& sequential() { return sequential_; }
  size_t my_index() const { return index_of(*current_); }
  void released() { ++current_->view.clocks[index_of(*current_)]; }

  void fence(ExploredThread& thread) {
    join(sequential_, thread.view.atomics);
    join(thread.view.atomics, sequential_);
  }
  void fence_all() {
    for (const ExploredThread& thread : threads_) join(sequential_, thread.view.atomics);
    for (ExploredThread& thread : threads_) join(thread.view.atomics, sequential_);
  }

  unsigned new_atomic() {
    if (atomics_ == kAtomicsMax) {
      fail("more atomics than the explorer has room for");
      return 0;
    }
    return atomics_++;
  }

  Moment now() const {
    const size_t me = my_index();
    return {me, static_cast<uint16_t>(current_->view.clocks[me] + 1)};
  }
  bool happened(const Moment& moment) const {
    return moment.thread == my_index() || moment.clock <= current_->view.clocks[moment.thread];
  }
  void touch(const void* object) {
    Moment& last = uses_.try_emplace(object, now()).first->second;
    if (!happened(last)) fail("data race: nothing orders two uses of an item");
    last = now();
  }
  void forget(const void* object) { uses_.erase(object); }

  // False: the deadline has come.
  bool sleep_on(const void* word, Sleep how) {
    ExploredThread& mine = *current_;
    mine.blocked_on = word;
    mine.sleep = how;
    mine.late = false;
    yield("sleep");
    return !mine.late;
  }
  void unblock(const void* word, int count) {
    for (; count > 0; --count) {
      sleepers_.clear();
      for (ExploredThread& thread : threads_) {
        if (thread.blocked_on == word) sleepers_.push_back(&thread);
      }
      if (sleepers_.empty()) return;
      const bool all = static_cast<size_t>(count) >= sleepers_.size();
      sleepers_[static_cast<size_t>(all ? 0 : choose(static_cast<int>(sleepers_.size())))]->blocked_on = nullptr;
    }
  }
  bool surprised() {
    if (surprises_left_ == 0 || choose(2) == 0) return false;
    --surprises_left_;
    trace_.back().operation = "fails for no reason";
    return true;
  }

  void fail(std::string what) {
    if (failure_.empty()) failure_ = std::move(what);
  }

 private:
  struct Step {
    size_t thread;
    const char* operation;
  };
  struct Choice {
    int alternatives;
    int chosen;
  };

  size_t index_of(const ExploredThread& thread) const { return static_cast<size_t>(&thread - threads_.data()); }

  int choose(int alternatives) {
    if (alternatives == 1) return 0;
    if (position_ == path_.size()) path_.push_back({alternatives, 0});
    return path_[position_++].chosen;
  }

  bool next_path() {
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().alternatives) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().chosen;
    return true;
  }

  void run_once(const std::function<Scenario()>& make) {
    position_ = 0;
    preemptions_left_ = limits_.preemptions;
    stale_reads_left_ = limits_.stale_reads;
    surprises_left_ = limits_.surprises;
    trace_.clear();
    uses_.clear();
    sequential_ = Oldest();
    atomics_ = 0;
    const Scenario scenario = make();
    threads_ = std::vector<ExploredThread>(scenario.threads.size());
    if (threads_.size() > kThreadsMax) return fail("more threads than the explorer has room for");
    for (size_t i = 0; i < threads_.size(); ++i) {
      threads_[i].body = scenario.threads[i];
      threads_[i].fiber = take_fiber();
    }
    go_on_with(pick(nullptr));
    for (ExploredThread& thread : threads_) {
      if (!thread.done) {
        fail("hang: thread " + std::to_string(index_of(thread)) + " sleeps for ever");
        abandoned_.push_back(std::move(thread.fiber));
      } else {
        idle_fibers_.push_back(std::move(thread.fiber));
      }
    }
    if (failure_.empty() && scenario.check) scenario.check();
  }

  // Who goes on: `running` if it can, unless a preemption is spent on another; nullptr when none can. A sleep that ends for
  // no reason is no way out where none can.
  ExploredThread* pick(ExploredThread* running) {
    const auto ready = [](const ExploredThread& thread) {
      return thread.blocked_on == nullptr ? !thread.done : thread.sleep == Sleep::kFutexWithDeadline;
    };
    std::vector<ExploredThread*>& candidates = candidates_;
    candidates.clear();
    const bool can_go_on = running != nullptr && running->blocked_on == nullptr && !running->done;
    if (can_go_on && preemptions_left_ == 0) return running;
    if (can_go_on) candidates.push_back(running);
    for (ExploredThread& thread : threads_) {
      if (ready(thread) && (&thread != running || !can_go_on)) candidates.push_back(&thread);
    }
    if (candidates.empty()) return nullptr;
    for (ExploredThread& thread : threads_) {
      if (surprises_left_ > 0 && thread.blocked_on != nullptr && thread.sleep == Sleep::kFutex) candidates.push_back(&thread);
    }
    const int chosen = choose(static_cast<int>(candidates.size()));
    if (can_go_on && chosen != 0) --preemptions_left_;
    ExploredThread* const next = candidates[static_cast<size_t>(chosen)];
    if (std::exchange(next->blocked_on, nullptr) != nullptr) {
      next->late = next->sleep == Sleep::kFutexWithDeadline;
      surprises_left_ -= next->sleep == Sleep::kFutex ? 1 : 0;
    }
    return next;
  }

  // nullptr: the test itself, as the run has ended.
  void go_on_with(ExploredThread* next) {
    if (next == current_) return;
    Fiber& from = current_ == nullptr ? test_ : *current_->fiber;
    current_ = next;
    from.hand_over(next == nullptr ? test_ : *next->fiber);
  }

  // Fibers are used again by later runs.
  std::unique_ptr<Fiber> take_fiber() {
    if (!idle_fibers_.empty()) {
      std::unique_ptr<Fiber> fiber = std::move(idle_fibers_.back());
      idle_fibers_.pop_back();
      return fiber;
    }
    return std::make_unique<Fiber>(&Exploration::run_bodies);
  }

  static void run_bodies();

  const ExplorerLimits limits_;
  Fiber test_;
  std::vector<ExploredThread> threads_;
  ExploredThread* current_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> idle_fibers_;
  std::vector<std::unique_ptr<Fiber>> abandoned_;
  std::vector<ExploredThread*> candidates_, sleepers_;
  std::vector<Choice> path_;
  size_t position_ = 0;
  int preemptions_left_ = 0;
  int stale_reads_left_ = 0;
  int surprises_left_ = 0;
  Oldest sequential_{};
  unsigned atomics_ = 0;
  std::unordered_map<const void*, Moment> uses_;
  std::string failure_;
  std::vector<Step> trace_;
};

Exploration* exploration = nullptr;
bool with_surprises = false;

void Exploration::run_bodies() {
  for (;;) {
    ExploredThread& thread = *exploration->current_;
    thread.body();
    thread.body = nullptr;
    thread.done = true;
    exploration->go_on_with(exploration->pick(nullptr));
  }
}

}  // namespace

ExplorerResult explore(const ExplorerLimits& wanted, const std::function<Scenario()>& make) {
  ExplorerLimits limits = wanted;
  const bool slow = storm_factor() < 1;
  if (with_surprises || slow) limits.preemptions = std::min(limits.preemptions, with_surprises && slow ? 0 : 1);
  if (with_surprises) {
    limits.stale_reads = 0;
    limits.surprises = 1;
  }
  Exploration mine(limits);
  exploration = &mine;
  ExplorerResult result = mine.run_all(make);
  exploration = nullptr;
  return result;
}

void expect_proven(const ExplorerResult& result) {
  EXPECT_EQ(result.failure, "");
  EXPECT_TRUE(result.complete) << result.runs << " runs";
  EXPECT_GT(result.runs, 2);
}

void expect_proven_with_surprises(const Explorations& explorations) {
  with_surprises = true;
  for (const auto& explore_one : explorations) {
    const ExplorerResult result = explore_one();
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.complete) << result.runs << " runs";
  }
  with_surprises = false;
}

void require(bool condition, const char* what) {
  if (!condition) exploration->fail(what);
}

namespace explorer_internal {

bool in_thread() { return exploration != nullptr && exploration->in_thread(); }

void step(const char* operation) {
  if (in_thread()) exploration->yield(operation);
}

unsigned new_atomic() { return exploration->new_atomic(); }
View& my_view() { return exploration->my_view(); }
size_t my_index() { return exploration->my_index(); }
Oldest& sequential() { return exploration->sequential(); }
unsigned choose_stale(unsigned older) { return exploration->choose_stale(older); }
void released() { exploration->released(); }

Moment now() { return in_thread() ? exploration->now() : Moment(); }
void require_happened(const Moment& moment) {
  if (in_thread() && !exploration->happened(moment)) exploration->fail("data race: nothing orders an atomic's making and its use");
}

void system_call() {
  if (in_thread()) exploration->fence(exploration->current());
}

void fence_all() {
  if (in_thread()) exploration->fence_all();
}

bool sleep_on(const void* word, Sleep how) { return exploration->sleep_on(word, how); }
bool surprised() { return in_thread() && exploration->surprised(); }

void unblock(const void* word, int count) {
  if (exploration != nullptr) exploration->unblock(word, count);
}

void touch(const void* object) {
  if (in_thread()) exploration->touch(object);
}

void forget(const void* object) {
  if (in_thread()) exploration->forget(object);
}

}  // namespace explorer_internal
}  // namespace weir::testing
