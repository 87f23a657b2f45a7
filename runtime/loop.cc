#include "weir/runtime/loop.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/status.h"

namespace weir {
// A loop's tie to its thread: in that thread's list until one of them ends. A ring belongs to its thread: when that
// ends first, the loop is shut down then, and only memory is left for ~Loop.
class Loop::Owned {
 public:
  explicit Owned(Loop& loop);
  ~Owned();
  bool here() const noexcept { return thread_ == std::this_thread::get_id(); }

 private:
  class List;
  static List& list();

  void shut_down() noexcept;

  Loop& loop_;
  const std::thread::id thread_;
  List* list_;
  Owned* previous_ = nullptr;
  Owned* following_ = nullptr;
};

class Loop::Owned::List : public internal::IntrusiveList<Owned, &Owned::previous_, &Owned::following_> {
 public:
  ~List() {
    while (Owned* owned = pop_front()) {
      owned->shut_down();
      owned->list_ = nullptr;
    }
  }
};

Loop::Owned::List& Loop::Owned::list() {
  static thread_local List loops;
  return loops;
}

Loop::Owned::Owned(Loop& loop) : loop_(loop), thread_(std::this_thread::get_id()), list_(&list()) {
  list_->push_back(*this);
}

void Loop::Owned::shut_down() noexcept {
  Loop* const before = std::exchange(internal::thread_state.loop, &loop_);
  loop_.engine_->shut_down();
  internal::thread_state.loop = before;
}

Loop::Owned::~Owned() {
  if (list_ == nullptr) return;  // the thread has ended
  if (!here()) {
    std::fprintf(stderr, "weir: a Loop was destroyed on a foreign thread while its own still runs\n");
    std::abort();
  }
  shut_down();
  list_->remove(*this);
}

Loop::Loop(std::unique_ptr<internal::Ring> ring, internal::Kernel& kernel, internal::ControlRef control,
           const LoopOptions& options)
    : options_(options),
      engine_(std::make_unique<internal::Engine>(std::move(ring), kernel, std::move(control),
                                                 options.stall_threshold == absl::InfiniteDuration()
                                                     ? internal::kNoDeadline
                                                     : absl::ToInt64Nanoseconds(options.stall_threshold),
                                                 absl::ToInt64Nanoseconds(options.spin))) {
  engine_->control().set_report(options.on_unhandled, options.on_unhandled_user);
}

Loop::~Loop() {
  owned_.reset();
  engine_->shut_down();  // one that never ran: its handles learn that it is gone
  // A forked child: the tasks stand as they stood in the parent, for ever.
  if (engine_->ring().in_forked_child()) (void)engine_.release();
}

absl::StatusOr<std::unique_ptr<Loop>> Loop::create(const LoopOptions& options) {
  auto ring = internal::Ring::create({.sq_entries = options.sq_entries, .cq_entries = options.cq_entries});
  if (!ring.ok()) return ring.status();
  return internal::LoopAccess::create(std::move(*ring), internal::Kernel::system(), options);
}

absl::StatusOr<std::unique_ptr<Loop>> internal::LoopAccess::create(std::unique_ptr<Ring> ring, Kernel& kernel,
                                                                   const LoopOptions& options) {
  int error = 0;
  LoopControl* const control = LoopControl::create(kernel, error);
  if (control == nullptr) return errno_status(error, "eventfd");
  return std::unique_ptr<Loop>(new Loop(std::move(ring), kernel, ControlRef::adopt(control), options));
}

LoopHandle Loop::handle() noexcept { return internal::HandleAccess::make(engine_->control()); }

void Loop::set_default_executor(Executor* executor) noexcept { engine_->set_default_executor(executor); }

Loop& Loop::current() {
  if (internal::thread_state.loop == nullptr) {
    throw LookupError("Loop::current(): no loop runs on this thread; threads of the bridge have LoopHandle::current()");
  }
  return *internal::thread_state.loop;
}

LoopStats Loop::stats() const {
  const internal::Submissions& submissions = engine_->submissions();
  const auto& counters = engine_->counters();
  LoopStats stats;
  stats.turns = counters.turns.read();
  stats.enters = submissions.enters();
  stats.submissions = submissions.submitted();
  stats.completions = submissions.completed();
  stats.overflows = submissions.overflows();
  stats.posts = counters.posts.read();
  stats.wakeups_written = engine_->control().wakeups_written();
  stats.wakeups_saved = stats.posts > stats.wakeups_written ? stats.posts - stats.wakeups_written : 0;
  stats.wakeups_spurious = counters.spurious.read();
  stats.tasks = counters.tasks.read();
  stats.operations = submissions.live();
  stats.timers = counters.timers.read();
  return stats;
}

// Before each run, until it has succeeded once.
void Loop::pin() {
  if (pinned_ || options_.cpu < 0) return;
  const int result = engine_->kernel().pin_thread(options_.cpu);
  if (result < 0) {
    throw std::runtime_error(std::string(internal::errno_status(-result, absl::StrCat("sched_setaffinity cpu ", options_.cpu)).message()));
  }
  pinned_ = true;
}

Loop::Running::Running(Loop& loop) : current_(&loop.engine_->control()) {
  internal::ThreadState& state = internal::thread_state;
  if (state.engine != nullptr) {
    throw std::logic_error("Loop::run(): a loop runs on this thread already; co_await, spawn() or on() instead");
  }
  if (loop.owned_ == nullptr) {
    const int bound = loop.engine_->bind();
    if (bound < 0) throw std::runtime_error(std::string(internal::errno_status(-bound, "io_uring_register").message()));
    loop.owned_ = std::make_unique<Owned>(loop);
  } else if (!loop.owned_->here()) {
    throw std::logic_error("Loop::run(): this loop belongs to the thread of its first run; post() or on() reach it");
  } else if (loop.engine_->ring().in_forked_child()) {
    throw std::logic_error("Loop::run(): this process was forked off the loop's; create a loop of its own");
  }
  loop.pin();
  state.engine = loop.engine_.get();
  state.loop = &loop;
}

Loop::Running::~Running() {
  internal::thread_state.engine->tell_idle_hooks();
  internal::thread_state.engine = nullptr;
  internal::thread_state.loop = nullptr;
}

void Loop::turn_until(const internal::Root& root) {
  engine_->turn_until([&root] { return root.done(); });
}

}  // namespace weir
