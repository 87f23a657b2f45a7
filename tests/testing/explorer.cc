#include "weir/tests/testing/explorer.h"

#include <gtest/gtest.h>
#include <ucontext.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_EXPLORER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WEIR_EXPLORER_TSAN 1
#endif
#endif
#if defined(WEIR_EXPLORER_ASAN)
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(WEIR_EXPLORER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace weir::testing {
namespace {

using explorer_internal::Access;
using explorer_internal::View;
using explorer_internal::kAtomicsMax;
using explorer_internal::kThreadsMax;

constexpr size_t kStackBytes = 256 * 1024;
constexpr size_t kStepsMax = 10'000;  // of a run: more is a thread that waits without sleeping

// A stack that control can be handed to, and the sanitizers' view of it.
class Fiber {
 public:
  ucontext_t context;
  std::unique_ptr<char[]> stack;  // none: the stack of the test itself
#if defined(WEIR_EXPLORER_ASAN)
  const void* stack_bottom = nullptr;
  size_t stack_size = 0;
#endif
#if defined(WEIR_EXPLORER_TSAN)
  void* tsan = nullptr;
#endif
};

void hand_over(Fiber& from, Fiber& to) {
#if defined(WEIR_EXPLORER_ASAN)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, to.stack_bottom, to.stack_size);
#endif
#if defined(WEIR_EXPLORER_TSAN)
  __tsan_switch_to_fiber(to.tsan, 0);
#endif
  swapcontext(&from.context, &to.context);
#if defined(WEIR_EXPLORER_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

struct ExploredThread {
  std::function<void()> body;
  std::unique_ptr<Fiber> fiber;
  bool done = false;
  const void* blocked_on = nullptr;
  View view;
};

class Exploration {
 public:
  explicit Exploration(const ExplorerLimits& limits) : limits_(limits) {
#if defined(WEIR_EXPLORER_TSAN)
    scheduler_.tsan = __tsan_get_current_fiber();
#endif
  }
  ~Exploration() {
#if defined(WEIR_EXPLORER_TSAN)
    for (auto& fiber : idle_fibers_) __tsan_destroy_fiber(fiber->tsan);
#endif
  }

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
    next_ = trace_.size() > kStepsMax ? nullptr : pick(current_);
    if (next_ != current_) hand_over(*current_->fiber, scheduler_);
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
  View& sequential_view() { return sequential_; }
  void released() { ++current_->view.clocks[index_of(*current_)]; }

  void fence(ExploredThread& thread) {
    sequential_.join_atomics(thread.view);
    thread.view.join_atomics(sequential_);
  }
  void fence_all() {
    for (const ExploredThread& thread : threads_) sequential_.join_atomics(thread.view);
    for (ExploredThread& thread : threads_) thread.view.join_atomics(sequential_);
  }

  unsigned new_atomic() {
    if (atomics_ == kAtomicsMax) {
      fail("more atomics than the explorer has room for");
      return 0;
    }
    return atomics_++;
  }

  void touch(const void* object) {
    const size_t me = index_of(*current_);
    const View& view = current_->view;
    Use& last = uses_.try_emplace(object, Use{me, 0}).first->second;
    if (last.clock > view.clocks[last.thread] && last.thread != me) fail("data race: nothing orders two uses of an item");
    last = {me, static_cast<uint16_t>(view.clocks[me] + 1)};
  }
  void forget(const void* object) { uses_.erase(object); }

  void unblock(const void* word, int count) {
    for (ExploredThread& thread : threads_) {
      if (count == 0) return;
      if (thread.blocked_on != word) continue;
      thread.blocked_on = nullptr;
      --count;
    }
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

  struct Use {
    size_t thread;
    uint16_t clock;
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
    trace_.clear();
    uses_.clear();
    sequential_ = View();
    atomics_ = 0;
    const Scenario scenario = make();
    threads_ = std::vector<ExploredThread>(scenario.threads.size());
    if (threads_.size() > kThreadsMax) return fail("more threads than the explorer has room for");
    for (size_t i = 0; i < threads_.size(); ++i) {
      threads_[i].body = scenario.threads[i];
      threads_[i].fiber = take_fiber();
    }
    next_ = pick(nullptr);
    while (next_ != nullptr) {
      current_ = next_;
      hand_over(scheduler_, *current_->fiber);
    }
    current_ = nullptr;
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

  // Who goes on: `running` if it can, unless a preemption is spent on another; nullptr when none can.
  ExploredThread* pick(ExploredThread* running) {
    const auto ready = [](const ExploredThread& thread) { return !thread.done && thread.blocked_on == nullptr; };
    std::vector<ExploredThread*>& candidates = candidates_;
    candidates.clear();
    const bool can_go_on = running != nullptr && ready(*running);
    if (can_go_on) candidates.push_back(running);
    if (!can_go_on || preemptions_left_ > 0) {
      for (ExploredThread& thread : threads_) {
        if (ready(thread) && &thread != running) candidates.push_back(&thread);
      }
    }
    if (candidates.empty()) return nullptr;
    const int chosen = choose(static_cast<int>(candidates.size()));
    if (can_go_on && chosen != 0) --preemptions_left_;
    return candidates[static_cast<size_t>(chosen)];
  }

  // Fibers are used again by later runs.
  std::unique_ptr<Fiber> take_fiber() {
    if (!idle_fibers_.empty()) {
      std::unique_ptr<Fiber> fiber = std::move(idle_fibers_.back());
      idle_fibers_.pop_back();
      return fiber;
    }
    auto fiber = std::make_unique<Fiber>();
    fiber->stack = std::make_unique<char[]>(kStackBytes);
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack.get();
    fiber->context.uc_stack.ss_size = kStackBytes;
    fiber->context.uc_link = nullptr;
#if defined(WEIR_EXPLORER_ASAN)
    fiber->stack_bottom = fiber->stack.get();
    fiber->stack_size = kStackBytes;
#endif
#if defined(WEIR_EXPLORER_TSAN)
    fiber->tsan = __tsan_create_fiber(0);
#endif
    makecontext(&fiber->context, &Exploration::fiber_main, 0);
    return fiber;
  }

  static void fiber_main();

  void run_bodies() {
#if defined(WEIR_EXPLORER_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_.stack_bottom, &scheduler_.stack_size);
#endif
    for (;;) {
      current_->body();
      current_->body = nullptr;
      current_->done = true;
      next_ = pick(nullptr);
      hand_over(*current_->fiber, scheduler_);
    }
  }

  const ExplorerLimits limits_;
  Fiber scheduler_;
  std::vector<ExploredThread> threads_;
  ExploredThread* current_ = nullptr;
  ExploredThread* next_ = nullptr;  // for the scheduler
  std::vector<std::unique_ptr<Fiber>> idle_fibers_;
  std::vector<std::unique_ptr<Fiber>> abandoned_;
  std::vector<ExploredThread*> candidates_;
  std::vector<Choice> path_;
  size_t position_ = 0;
  int preemptions_left_ = 0;
  int stale_reads_left_ = 0;
  View sequential_;
  unsigned atomics_ = 0;
  std::unordered_map<const void*, Use> uses_;
  std::string failure_;
  std::vector<Step> trace_;
};

Exploration* exploration = nullptr;

void Exploration::fiber_main() { exploration->run_bodies(); }

// One place in the code under test, and what is done to it.
struct Mutant {
  Place place;
  Access access = Access::kLoad;
  std::memory_order before = std::memory_order_relaxed;
  std::memory_order after = std::memory_order_relaxed;
  const char* change = nullptr;  // something else than an order

  bool at(const Place& other) const {
    return place.line() == other.line() && place.column() == other.column() &&
           std::strcmp(place.file_name(), other.file_name()) == 0;
  }
  friend bool operator==(const Mutant& a, const Mutant& b) {
    return a.at(b.place) && a.access == b.access && a.before == b.before && a.after == b.after && a.change == b.change;
  }
};

bool collecting = false;
std::vector<Mutant> mutants;
const Mutant* mutant = nullptr;  // the one at work

std::vector<std::memory_order> one_step_weaker(Access access, std::memory_order order) {
  const bool reads = access != Access::kStore;
  const bool writes = access == Access::kStore || access == Access::kModify;
  switch (order) {
    case std::memory_order_seq_cst:
      return {reads && writes ? std::memory_order_acq_rel : reads ? std::memory_order_acquire : std::memory_order_release};
    case std::memory_order_acq_rel:
      return {std::memory_order_acquire, std::memory_order_release};
    case std::memory_order_acquire:
    case std::memory_order_release:
      return {std::memory_order_relaxed};
    default:
      return {};
  }
}

void collect(Mutant found) {
  if (std::string_view(found.place.file_name()).find("tests/") != std::string_view::npos) return;
  if (std::find(mutants.begin(), mutants.end(), found) == mutants.end()) mutants.push_back(found);
}

const char* name(std::memory_order order) {
  switch (order) {
    case std::memory_order_seq_cst:
      return "seq_cst";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    default:
      return "relaxed";
  }
}

std::string describe(const Mutant& what) {
  std::string function = what.place.function_name();
  function.resize(std::min(function.size(), function.find('(')));
  const size_t begin = function.find_last_of(": ");
  if (begin != std::string::npos) function.erase(0, begin + 1);
  if (what.change != nullptr) return function + ": " + what.change;
  const char* access = what.access == Access::kLoad      ? "load"
                       : what.access == Access::kStore   ? "store"
                       : what.access == Access::kFailure ? "failed exchange"
                                                         : "exchange";
  return function + ": " + access + " " + name(what.before) + " -> " + name(what.after);
}

}  // namespace

ExplorerResult explore(const ExplorerLimits& limits, const std::function<Scenario()>& make) {
  Exploration mine(limits);
  exploration = &mine;
  ExplorerResult result = mine.run_all(make);
  exploration = nullptr;
  return result;
}

void expect_proven(const ExplorerResult& result) {
  EXPECT_EQ(result.failure, "");
  EXPECT_TRUE(result.complete) << result.runs << " runs";
  EXPECT_GT(result.runs, 10);
}

void require(bool condition, const char* what) {
  if (!condition) exploration->fail(what);
}

MutationReport mutate(const std::vector<std::function<ExplorerResult()>>& explorations) {
  MutationReport report;
  mutants.clear();
  collecting = true;
  for (const auto& explore_one : explorations) {
    if (const ExplorerResult result = explore_one(); !result.failure.empty()) {
      report.survivors.push_back("fails without any change: " + result.failure);
      return report;
    }
  }
  collecting = false;
  const std::vector<Mutant> all = std::move(mutants);
  report.mutants = static_cast<int>(all.size());
#if defined(WEIR_EXPLORER_ASAN)
  __lsan_disable();  // threads that hang own what they had
#endif
  for (const Mutant& one : all) {
    mutant = &one;
    const bool noticed = std::any_of(explorations.begin(), explorations.end(),
                                     [](const auto& explore_one) { return !explore_one().failure.empty(); });
    if (!noticed) report.survivors.push_back(describe(one));
  }
  mutant = nullptr;
#if defined(WEIR_EXPLORER_ASAN)
  __lsan_enable();
#endif
  std::sort(report.survivors.begin(), report.survivors.end());
  return report;
}

namespace explorer_internal {

bool in_thread() { return exploration != nullptr && exploration->in_thread(); }

void step(const char* operation) {
  if (in_thread()) exploration->yield(operation);
}

unsigned new_atomic() { return exploration->new_atomic(); }
View& my_view() { return exploration->my_view(); }
View& sequential_view() { return exploration->sequential_view(); }
unsigned choose_stale(unsigned older) { return exploration->choose_stale(older); }
void released() { exploration->released(); }

std::memory_order order_at(const Place& place, Access access, std::memory_order order) {
  if (collecting) {
    for (const std::memory_order weaker : one_step_weaker(access, order)) collect({place, access, order, weaker, nullptr});
  }
  const bool changed = mutant != nullptr && mutant->change == nullptr && mutant->access == access && mutant->before == order && mutant->at(place);
  return changed ? mutant->after : order;
}

bool left_out(const Place& place, const char* change) {
  if (collecting) collect({place, {}, {}, {}, change});
  return mutant != nullptr && mutant->change != nullptr && mutant->at(place);
}

void system_call() {
  if (in_thread()) exploration->fence(exploration->current());
}

void fence_all() {
  if (in_thread()) exploration->fence_all();
}

void block_on(const void* word) {
  exploration->current().blocked_on = word;
  exploration->yield("sleep");
}

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
