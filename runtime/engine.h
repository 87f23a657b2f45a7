// The loop's inside: one turn after the other.
//
// A turn runs what is ready, takes the inbox, fires timers, enters the kernel at most once, and reaps:
//
//   - no enter when there is nothing to submit, to wait for or to flush;
//   - submitting, waiting and the next deadline travel in one system call (IORING_ENTER_EXT_ARG);
//   - a completion is copied out and the queue advanced before it is told; the reaper only makes roots ready;
//   - each step has a budget, so that nothing that is always ready starves the others.
//
// Loop's thread only, but for control().
#pragma once

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "weir/runtime/counter.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/intrusive_list.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/ring.h"
#include "weir/runtime/root.h"
#include "weir/runtime/submissions.h"
#include "weir/runtime/timers.h"

namespace weir::internal {

// Asked each time before the loop sleeps, or stands still between two runs, while it is in the loop's list: a stream whose
// producer sleeps although there is room. Loop's thread.
class IdleHook {
 public:
  virtual void before_sleep() noexcept = 0;

 protected:
  ~IdleHook() = default;

 private:
  friend class Engine;
  IdleHook* previous_ = nullptr;
  IdleHook* following_ = nullptr;
};

// What io/ keeps for a loop beyond single operations: its blocks of memory.
class LoopResource {
 public:
  // Nothing is in flight any more, and nothing can begin. Leaves the list; may destroy itself.
  virtual void loop_ended() noexcept = 0;

 protected:
  ~LoopResource() = default;

 private:
  friend class Engine;
  LoopResource* previous_ = nullptr;
  LoopResource* following_ = nullptr;
};

// What the floor above keeps for a loop: its pool, its streams and channels.
class LoopAnnex {
 public:
  virtual ~LoopAnnex() = default;
  virtual Executor& executor() = 0;
  virtual void close() noexcept = 0;                 // streams and channels close, queued jobs are dropped
  virtual bool quiet() const noexcept = 0;           // no job runs any more; one that ends pushes onto the inbox
  virtual absl::Duration patience() const noexcept = 0;
  virtual void abandon() noexcept = 0;               // patience is over: name what still runs on stderr, let it go
};

class Engine {
 public:
  Engine(std::unique_ptr<Ring> ring, Kernel& kernel, ControlRef control, int64_t stall_ns, int64_t spin_ns) noexcept;
  ~Engine();

  // --- scheduling
  void add_root(Root& root) noexcept {
    roots_.push_back(root);
    counters_.tasks.add();
    if (going_ && !root.shielded()) [[unlikely]] root.cancel();
  }
  void remove_root(Root& root) noexcept {
    roots_.remove(root);
    counters_.tasks.subtract();
  }
  std::coroutine_handle<> root_end() const noexcept { return root_end_.handle(); }
  // Those that have not ended, the oldest first.
  template <class Visit>
  void for_each_root(Visit visit) const {
    for (const Root* root = roots_.first(); root != nullptr; root = decltype(roots_)::after(*root)) visit(*root);
  }
  void make_ready(Root& root) noexcept {
    root.next_ready_ = nullptr;
    (ready_last_ != nullptr ? ready_last_->next_ready_ : ready_first_) = &root;
    ready_last_ = &root;
  }
  void yield(Root& root, std::coroutine_handle<> point) noexcept {
    root.resume_point_ = point;
    make_ready(root);
  }

  // --- turning, by the thread that bound the engine
  // Binds it to this thread, its only one from now on. 0, or a negative errno.
  int bind() noexcept;
  // Turns until done() holds; checked before the loop would sleep.
  template <class Done>
  void turn_until(Done done) {
    while (!done()) {
      const bool busy = work();
      if (done()) return;
      poll(busy);
    }
  }
  // Steps 1 to 6 of the shutdown; on the bound thread, or on any if there never was one.
  void shut_down() noexcept;

  Submissions& submissions() noexcept { return submissions_; }
  Timers& timers() noexcept { return timers_; }
  Kernel& kernel() noexcept { return kernel_; }
  Ring& ring() noexcept { return *ring_; }
  LoopControl& control() noexcept { return *control_.get(); }
  int64_t now_ns() noexcept { return kernel_.monotonic_ns(); }

  void add_idle_hook(IdleHook& hook) noexcept { idle_hooks_.push_back(hook); }
  void remove_idle_hook(IdleHook& hook) noexcept { idle_hooks_.remove(hook); }
  void tell_idle_hooks() noexcept;

  void add_resource(LoopResource& resource) noexcept { resources_.push_back(resource); }
  void remove_resource(LoopResource& resource) noexcept { resources_.remove(resource); }
  // The one of io/: see io/io_state.h.
  LoopResource* io_state() const noexcept { return io_state_; }
  void set_io_state(LoopResource* state) noexcept { io_state_ = state; }

  // What the floor above attached; made at first use. std::logic_error without such a floor.
  LoopAnnex& annex();
  LoopAnnex* annex_or_null() noexcept { return annex_.get(); }
  void set_default_executor(Executor* executor) noexcept { default_executor_ = executor; }
  Executor& executor() { return default_executor_ != nullptr ? *default_executor_ : annex().executor(); }
  bool has_executor() const noexcept;

  // The floor above says how to make its annex; once, before main().
  static void set_annex_factory(std::unique_ptr<LoopAnnex> (*factory)(Engine&)) noexcept;

  // A number of references to the control block that cost no atomic operation: roots take and give them back here.
  LoopControl* take_control() noexcept {
    if (spare_control_ == 0) [[unlikely]] fetch_control();
    --spare_control_;
    return control_.get();
  }
  void give_control() noexcept { ++spare_control_; }
  // Any thread: to the engine whose loop runs here, if the reference is to its block; else it is released.
  static void give_back_control(LoopControl* control) noexcept {
    Engine* const here = thread_state.engine;
    if (here != nullptr && here->control_.get() == control) return here->give_control();
    control->release();
  }

  bool going() const noexcept { return going_; }
  bool was_shut_down() const noexcept { return shut_down_; }

  struct Counters {
    Counter turns, posts, wakeups, spurious, tasks, timers;
  };
  const Counters& counters() const noexcept { return counters_; }

 private:
  class WakeUp;

  void fetch_control() noexcept;
  void cancel_roots() noexcept;
  void end_work() noexcept;
  bool quiet() noexcept;
  void turn_for_wake_up() noexcept;
  bool work();
  void poll(bool busy);
  bool run_ready();
  bool take_inbox();
  bool timers_may_be_due() noexcept;
  bool spin();
  int enter(bool busy);
  void deliver_all(InboxNode* list) noexcept;
  void run_watched(Root& root);
  [[noreturn]] void fail(int error);

  const std::unique_ptr<Ring> ring_;
  Kernel& kernel_;
  const ControlRef control_;
  Timers timers_;
  Submissions submissions_;
  const RootEnd root_end_;
  Root* ready_first_ = nullptr;
  Root* ready_last_ = nullptr;
  InboxNode* taken_ = nullptr;  // out of the inbox, not delivered yet
  IntrusiveList<Root, &Root::previous_, &Root::following_> roots_;
  IntrusiveList<IdleHook, &IdleHook::previous_, &IdleHook::following_> idle_hooks_;
  IntrusiveList<LoopResource, &LoopResource::previous_, &LoopResource::following_> resources_;
  LoopResource* io_state_ = nullptr;
  std::unique_ptr<WakeUp> wake_up_;
  std::unique_ptr<LoopAnnex> annex_;
  Executor* default_executor_ = nullptr;
  const int64_t stall_ns_;  // INT64_MAX: turns are not timed
  const int64_t spin_ns_;   // <= 0: the loop sleeps at once
  int64_t turn_ns_ = 0;  // when this turn fired its timers
  unsigned turns_without_clock_ = 0;
  bool woken_by_nothing_ = true;  // by the kernel, at a deadline
  int spare_control_ = 0;
  bool bound_ = false;
  bool going_ = false;
  bool shut_down_ = false;
  Counters counters_;
};

inline void Root::start(Engine& engine, std::coroutine_handle<> entry, Suspension* before_start, std::string_view name, bool shielded) {
  if (!name.empty()) set_name(name);
  engine_ = &engine;
  const Root* const spawner = thread_state.root;
  shielded_ = shielded || (spawner != nullptr && (spawner->shielded_ || spawner->masked()));
  context_.take_snapshot(Context::current());
  resume_point_ = entry;
  place_ = before_start;
  engine.add_root(*this);
  engine.make_ready(*this);
}

inline void Root::finish() noexcept {
  done_ = true;
  context_.clear();
  engine_->remove_root(*this);
  while (DoneListener* const listener = listeners_.pop_front()) listener->root_done(*this);
}

// The deadline `duration` from now; kNoDeadline for an infinite one.
int64_t deadline_after(Engine& engine, absl::Duration duration) noexcept;

}  // namespace weir::internal
