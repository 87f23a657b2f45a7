#include "weir/runtime/engine.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir::internal {
namespace {

constexpr unsigned kResumesPerTurn = 256;
constexpr unsigned kPostsPerTurn = 256;
constexpr unsigned kTimersPerTurn = 256;
constexpr unsigned kCompletionsPerTurn = 1024;
constexpr unsigned kTurnsWithoutClock = 4;
constexpr int kControlBatch = 1 << 16;
constexpr int64_t kNotRead = -1;  // the clock, in this turn

std::unique_ptr<LoopAnnex> (*annex_factory)(Engine&) = nullptr;

}  // namespace

// The read of the eventfd, in flight whenever the loop sleeps.
class Engine::WakeUp final : public Operation {
 public:
  explicit WakeUp(Engine& owner) noexcept : Operation(Waits::kForPeer), owner_(owner) {}
  ~WakeUp() = default;

  void arm() noexcept {
    armed_ = true;
    start(owner_);
  }
  bool armed() const noexcept { return armed_; }

 private:
  bool fill(io_uring_sqe& entry) noexcept override {
    io_uring_prep_read(&entry, owner_.control_->eventfd(), &count_, sizeof count_, 0);
    return true;
  }
  void complete() noexcept override {
    armed_ = false;
    if (result() == sizeof count_) {
      owner_.counters_.wakeups.add();
      if (owner_.taken_ == nullptr && !owner_.control_->inbox().maybe_filled()) owner_.counters_.spurious.add();
    }
  }

  Engine& owner_;
  uint64_t count_ = 0;
  bool armed_ = false;
};

Engine::Engine(std::unique_ptr<Ring> ring, Kernel& kernel, ControlRef control, int64_t stall_ns, int64_t spin_ns) noexcept
    : ring_(std::move(ring)),
      kernel_(kernel),
      control_(std::move(control)),
      timers_(kernel.monotonic_ns()),
      submissions_(*ring_, timers_, kernel),
      wake_up_(std::make_unique<WakeUp>(*this)),
      stall_ns_(stall_ns),
      spin_ns_(spin_ns) {}

Engine::~Engine() {
  if (spare_control_ > 0) control_->release(spare_control_);
}

void Engine::set_annex_factory(std::unique_ptr<LoopAnnex> (*factory)(Engine&)) noexcept { annex_factory = factory; }

bool Engine::has_executor() const noexcept { return default_executor_ != nullptr || annex_factory != nullptr; }

LoopAnnex& Engine::annex() {
  if (annex_ == nullptr) {
    if (annex_factory == nullptr) throw std::logic_error("weir: this loop has no executor; call set_default_executor(), or link the bridge");
    annex_ = annex_factory(*this);
  }
  return *annex_;
}

void Engine::fetch_control() noexcept {
  control_->retain(kControlBatch);
  spare_control_ = kControlBatch;
}

int Engine::bind() noexcept {
  const int result = ring_->enable();
  bound_ = result >= 0;
  if (bound_) control_->set_own_thread(true);
  submissions_.look_for_gaps();
  return result;
}

void Engine::fail(int error) {
  const std::string message(errno_status(error, "io_uring_enter").message());
  if (!going_) throw std::runtime_error(message);
  // The kernel may still write to buffers whose completions can never be seen.
  std::fprintf(stderr, "weir: a loop cannot be destroyed safely: %s\n", message.c_str());
  std::abort();
}

// The first half of a turn. True: more is ready, the loop must not sleep.
bool Engine::work() {
  counters_.turns.add();
  bool busy = run_ready();
  busy |= take_inbox();
  turn_ns_ = kNotRead;
  if (timers_.size() != 0 && (timers_may_be_due() || timers_.unsettled())) {
    turn_ns_ = kernel_.monotonic_ns();
    timers_.settle(turn_ns_);
    timers_.fire(turn_ns_, kTimersPerTurn);
    if (timers_.next_deadline() <= turn_ns_) busy = woken_by_nothing_ = true;  // more are due
  }
  counters_.timers.set(timers_.size());
  return busy || ready_first_ != nullptr;
}

// A kernel that waits until a deadline tells when it has passed, by coming back with nothing. It does not when there are
// completions: so in a row of turns that had some, the clock is read in each few.
inline bool Engine::timers_may_be_due() noexcept {
  if (ring_->takes_deadlines() && !woken_by_nothing_ && ++turns_without_clock_ < kTurnsWithoutClock) return false;
  woken_by_nothing_ = false;
  turns_without_clock_ = 0;
  return true;
}

// The turn's one enter.
[[gnu::always_inline]] inline int Engine::enter(bool busy) {
  if (!busy && !wake_up_->armed()) wake_up_->arm();
  busy |= submissions_.has_completions() || submissions_.waits_for_slot();
  Inbox& inbox = control_->inbox();
  int error = 0;
  if (!busy && inbox.prepare_sleep()) {
    const int64_t deadline = timers_.next_deadline();
    if (deadline != kNoDeadline && ring_->takes_deadlines()) {
      error = submissions_.enter_until(deadline);
      woken_by_nothing_ = ring_->completions() == 0;
    } else {
      // No task has run since the turn read the clock: a pause measured from there is late by a few instructions.
      if (deadline != kNoDeadline && turn_ns_ == kNotRead) turn_ns_ = kernel_.monotonic_ns();
      error = submissions_.enter(true, deadline == kNoDeadline ? -1 : std::max<int64_t>(0, deadline - turn_ns_));
    }
    if (inbox.maybe_filled()) {
      taken_ = inbox.take();
    } else if (ring_->completions() != 1) {  // one is a moment's work: see inbox.h
      inbox.stay_awake();
    }
  } else {
    inbox.stay_awake();
    if (ring_->unsubmitted() != 0 || ring_->has_task_work() || ring_->overflowed()) error = submissions_.enter(false, 0);
  }
  return error;
}

void Engine::tell_idle_hooks() noexcept {
  for (IdleHook* hook = idle_hooks_.first(); hook != nullptr;) {
    IdleHook* const following = decltype(idle_hooks_)::after(*hook);
    hook->before_sleep();  // may leave the list
    hook = following;
  }
}

// Looks whether something comes, while nobody has to wake the loop. True: it has, or a timer is due.
bool Engine::spin() {
  control_->inbox().stay_awake();
  const auto something = [this] {
    return control_->inbox().maybe_filled() || submissions_.has_completions() || ring_->has_task_work() || ring_->overflowed();
  };
  if (ring_->unsubmitted() != 0) {  // the kernel works meanwhile
    if (const int error = submissions_.enter(false, 0); error < 0) fail(-error);
  }
  const int64_t now = kernel_.monotonic_ns();
  const int64_t until = std::min(timers_.next_deadline(), now + std::min(spin_ns_, kNoDeadline - now));
  while (!something()) {
    turn_ns_ = kernel_.monotonic_ns();
    if (turn_ns_ < until) continue;
    woken_by_nothing_ = true;
    return timers_.next_deadline() <= until;
  }
  return true;
}

// The second half.
void Engine::poll(bool busy) {
  if (!busy) {
    tell_idle_hooks();
    busy = ready_first_ != nullptr || (spin_ns_ > 0 && spin());
  }
  if (const int error = enter(busy); error < 0) fail(-error);
  submissions_.reap(kCompletionsPerTurn);
  submissions_.go_on();
}

bool Engine::run_ready() {
  for (unsigned budget = kResumesPerTurn; ready_first_ != nullptr; --budget) {
    if (budget == 0) return true;
    Root& root = *ready_first_;
    ready_first_ = root.next_ready_;
    if (ready_first_ == nullptr) ready_last_ = nullptr;
    if (stall_ns_ == INT64_MAX) {
      root.run();
    } else {
      run_watched(root);
    }
  }
  return false;
}

void Engine::run_watched(Root& root) {
  const std::string name(root.name());
  const int64_t before = kernel_.monotonic_ns();
  root.run();
  const int64_t took = kernel_.monotonic_ns() - before;
  if (took < stall_ns_) return;
  std::fprintf(stderr, "weir: task '%s' blocked its loop for %.1f ms\n", name.c_str(), static_cast<double>(took) / 1e6);
}

bool Engine::take_inbox() {
  if (taken_ == nullptr) {
    if (!control_->inbox().maybe_filled()) return false;
    taken_ = control_->inbox().take();
  }
  for (unsigned budget = kPostsPerTurn; taken_ != nullptr; --budget) {
    if (budget == 0) return true;
    InboxNode& node = *taken_;
    taken_ = Inbox::next(node);
    counters_.posts.add();
    node.deliver();
  }
  return control_->inbox().maybe_filled();
}

void Engine::deliver_all(InboxNode* list) noexcept {
  while (list != nullptr) {
    InboxNode& node = *list;
    list = Inbox::next(node);
    node.deliver();
  }
}

void Engine::cancel_roots() noexcept {
  for (Root* root = roots_.first(); root != nullptr; root = decltype(roots_)::after(*root)) {
    if (!root->shielded()) root->cancel();
  }
}

void Engine::shut_down() noexcept {
  if (shut_down_ || ring_->in_forked_child()) return;
  control_->set_going();
  going_ = true;
  const CurrentLoopScope current(control_.get());
  Engine* const before = std::exchange(thread_state.engine, this);
  Root* const root_before = std::exchange(thread_state.root, nullptr);  // a task of another loop may destroy this one
  if (!bound_ && !control_->inbox().close_if_empty() && bind() < 0) deliver_all(control_->inbox().close());
  if (bound_) {
    end_work();
    do {  // what is left in the inbox may begin new work
      turn_until([this] { return quiet(); });
      wake_up_->cancel();
      while (submissions_.live() != 0) turn_for_wake_up();
    } while (!control_->inbox().close_if_empty());
  }
  annex_.reset();
  while (LoopResource* const resource = resources_.first()) resource->loop_ended();
  thread_state.engine = before;
  thread_state.root = root_before;
  control_->set_own_thread(false);
  control_->end_reports();
  shut_down_ = true;
}

// Nothing is left but the wake-up. What no task waits for any more (a receive that is armed for whoever reads next) may
// never end by itself: it is cancelled.
bool Engine::quiet() noexcept {
  if (roots_.empty()) submissions_.cancel_all_but(*wake_up_);
  const uint64_t wake_ups = wake_up_->armed() ? 1 : 0;
  return roots_.empty() && submissions_.live() == wake_ups && taken_ == nullptr && !control_->inbox().maybe_filled();
}

// Steps 2 to 5: roots, then what the floor above keeps, until nothing makes new work.
void Engine::end_work() noexcept {
  cancel_roots();
  turn_until([this] { return roots_.empty(); });
  if (annex_ == nullptr) return;
  annex_->close();
  class Impatience final : public Timer {
   public:
    explicit Impatience(Timers& timers) noexcept : timers_(timers) {}
    ~Impatience() { timers_.cancel(*this); }
    void fire() noexcept override { over = true; }
    bool over = false;

   private:
    Timers& timers_;
  } impatience(timers_);
  timers_.arm(impatience, deadline_after(*this, annex_->patience()));
  turn_until([&] { return (annex_->quiet() && roots_.empty()) || impatience.over; });
  if (!annex_->quiet()) annex_->abandon();
  cancel_roots();
  turn_until([this] { return roots_.empty(); });
}

// The last completions: the wake-up's own and that of its cancel.
void Engine::turn_for_wake_up() noexcept {
  const int64_t now = kernel_.monotonic_ns();
  timers_.fire(now, kTimersPerTurn);
  if (submissions_.live() == 0) return;
  const int64_t deadline = timers_.next_deadline();
  const int64_t pause = deadline == kNoDeadline ? -1 : std::max<int64_t>(0, deadline - now);
  const int error = submissions_.has_completions() ? 0 : submissions_.enter(!submissions_.waits_for_slot(), pause);
  if (error < 0) fail(-error);
  submissions_.reap(kCompletionsPerTurn);
  submissions_.go_on();
}

int64_t deadline_after(Engine& engine, absl::Duration duration) noexcept {
  const int64_t pause = absl::ToInt64Nanoseconds(duration);  // saturates
  if (pause == kNoDeadline) return kNoDeadline;
  const int64_t now = engine.now_ns();
  return pause >= kNoDeadline - now ? kNoDeadline : now + pause;
}

}  // namespace weir::internal
