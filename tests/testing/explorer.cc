#include "weir/tests/testing/explorer.h"

#include <ucontext.h>

#include <algorithm>
#include <memory>
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
#endif
#if defined(WEIR_EXPLORER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace weir::testing {
namespace {

constexpr size_t kStackBytes = 256 * 1024;

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

struct DelayedStore {
  void* where;
  size_t size;
  uint64_t value;
};

struct ExploredThread {
  std::function<void()> body;
  std::unique_ptr<Fiber> fiber;
  bool done = false;
  const void* blocked_on = nullptr;
  std::vector<DelayedStore> delayed;
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
    trace_.push_back({current_ - threads_.data(), operation});
    next_ = pick(current_);
    if (next_ != current_) hand_over(*current_->fiber, scheduler_);
  }

  bool choose_to_delay() {
    if (!current_->delayed.empty()) return true;  // stores stay in their order
    if (delays_left_ == 0 || choose(2) == 0) return false;
    --delays_left_;
    trace_.back().operation = "delayed store";
    return true;
  }

  void drain(ExploredThread& thread) {
    for (const DelayedStore& store : thread.delayed) std::memcpy(store.where, &store.value, store.size);
    thread.delayed.clear();
  }
  void drain_all() {
    for (ExploredThread& thread : threads_) drain(thread);
  }
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
    ptrdiff_t thread;
    const char* operation;
  };
  struct Choice {
    int alternatives;
    int chosen;
  };

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
    delays_left_ = limits_.delayed_stores;
    trace_.clear();
    const Scenario scenario = make();
    threads_ = std::vector<ExploredThread>(scenario.threads.size());
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
        fail("hang: thread " + std::to_string(&thread - threads_.data()) + " sleeps for ever");
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
      drain(*current_);
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
  int delays_left_ = 0;
  std::string failure_;
  std::vector<Step> trace_;
};

Exploration* exploration = nullptr;

void Exploration::fiber_main() { exploration->run_bodies(); }

bool in_thread() { return exploration != nullptr && exploration->in_thread(); }

}  // namespace

ExplorerResult explore(const ExplorerLimits& limits, const std::function<Scenario()>& make) {
  Exploration mine(limits);
  exploration = &mine;
  ExplorerResult result = mine.run_all(make);
  exploration = nullptr;
  return result;
}

void require(bool condition, const char* what) {
  if (!condition) exploration->fail(what);
}

namespace explorer_internal {

void step(const char* operation) {
  if (in_thread()) exploration->yield(operation);
}

void drain_mine() {
  if (in_thread()) exploration->drain(exploration->current());
}

void drain_all() {
  if (in_thread()) exploration->drain_all();
}

bool delay_store(void* where, size_t size, const void* value) {
  if (!in_thread() || !exploration->choose_to_delay()) return false;
  DelayedStore store{where, size, 0};
  std::memcpy(&store.value, value, size);
  exploration->current().delayed.push_back(store);
  return true;
}

bool read_mine(const void* where, size_t size, void* value) {
  if (!in_thread()) return false;
  const std::vector<DelayedStore>& delayed = exploration->current().delayed;
  const auto last = std::find_if(delayed.rbegin(), delayed.rend(),
                                 [where](const DelayedStore& store) { return store.where == where; });
  if (last == delayed.rend()) return false;
  std::memcpy(value, &last->value, size);
  return true;
}

void block_on(const void* word) {
  exploration->current().blocked_on = word;
  exploration->yield("sleep");
}

void unblock(const void* word, int count) {
  if (exploration != nullptr) exploration->unblock(word, count);
}

}  // namespace explorer_internal
}  // namespace weir::testing
