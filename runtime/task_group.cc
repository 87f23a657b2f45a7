#include "weir/runtime/task_group.h"

#include <exception>
#include <stdexcept>

#include "weir/runtime/intrusive_list.h"
#include "weir/runtime/with.h"

namespace weir {

using internal::DoneListener;
using internal::JoinStateBase;
using internal::Root;
using internal::Suspension;

class TaskGroup::State {
 public:
  explicit State(std::size_t limit) noexcept : limit_(limit) {}

  // A child keeps its task's result alive until it has ended.
  class Child final : public DoneListener {
   public:
    Child(State& group, JoinStateBase& state) noexcept : group_(&group), state_(state) { state.hold(); }
    ~Child() { state_.let_go(); }
    void orphan() noexcept { group_ = nullptr; }
    void cancel() noexcept { state_.cancel(); }
    void root_done(Root&) noexcept override {
      if (group_ != nullptr) group_->ended(*this, state_);
      delete this;
    }

    Child* previous = nullptr;
    Child* following = nullptr;

   private:
    State* group_;
    JoinStateBase& state_;
  };

  // Somebody who waits for a place, or for the end of all.
  class Waiter final : public Suspension {
   public:
    Waiter(State& group, bool for_place) noexcept : group_(group), for_place_(for_place) {}
    bool await_ready() const {
      if (for_place_) Root::current().throw_if_interrupted();
      return for_place_ ? group_.has_place() && group_.place_waiters_.empty() : group_.idle();
    }
    void await_suspend(std::coroutine_handle<> point) noexcept {
      root_ = internal::thread_state.root;
      root_->wait(point, *this);
      (for_place_ ? group_.place_waiters_ : group_.end_waiters_).push_back(*this);
      if (root_->interrupted()) cancel();  // join() in a task that was cancelled before
    }
    void await_resume() const {
      if (given_up_) throw Cancelled();
      if (for_place_ && promised_) group_.place_taken();
      if (group_.destroyed_) throw std::logic_error("weir: a TaskGroup was destroyed while a task waited in it");
    }
    void cancel() noexcept override {
      if (!for_place_) return group_.cancel();  // goes on waiting for the children's end
      given_up_ = true;
      group_.place_waiters_.remove(*this);
      root_->ready();
    }
    void wake(bool with_place) noexcept {
      promised_ = with_place;
      root_->ready();
    }

    Waiter* previous = nullptr;
    Waiter* following = nullptr;

   private:
    State& group_;
    const bool for_place_;
    bool given_up_ = false;
    bool promised_ = false;  // a place is kept for it
    Root* root_ = nullptr;
  };

  bool has_place() const noexcept { return limit_ == 0 || size_ + promised_ < limit_; }
  void place_taken() noexcept { --promised_; }

  // Nobody runs, and nobody who was given a place is about to start one.
  bool idle() const noexcept { return children_.empty() && promised_ == 0; }

  void adopt(JoinStateBase& state) {
    if (!control_) control_ = internal::ControlRef::share(&state.control());
    auto* child = new Child(*this, state);
    children_.push_back(*child);
    ++size_;
    state.listen(*child);
    if (cancelled_) state.cancel();
  }

  void ended(Child& child, JoinStateBase& state) noexcept {
    children_.remove(child);
    --size_;
    state.observe();
    if (state.failure() != nullptr && !state.ended_cancelled()) {
      if (failure_ == nullptr && !closing_) {
        failure_ = state.failure();
        cancel();
      } else {
        state.report();
      }
    }
    wake_waiters();
  }

  void wake_waiters() noexcept {
    while (!place_waiters_.empty() && has_place()) {
      ++promised_;
      place_waiters_.pop_front()->wake(true);
    }
    if (idle()) wake_all(end_waiters_);
  }

  void cancel() noexcept {
    cancelled_ = true;
    for (Child* child = children_.first(); child != nullptr; child = decltype(children_)::after(*child)) child->cancel();
  }

  // The group is gone: its tasks go on without it, cancelled; who waits is told.
  void destroy() noexcept {
    destroyed_ = true;
    if (failure_ != nullptr) control_->report(take_failure(), "group");
    if (size_ == 0 && place_waiters_.empty() && end_waiters_.empty()) return;
    cancel();
    while (Child* child = children_.pop_front()) child->orphan();
    wake_all(place_waiters_);
    wake_all(end_waiters_);
    if (size_ == 0) return;
    control_->report(std::make_exception_ptr(std::logic_error(
                         "weir: a TaskGroup was destroyed with live tasks, which are cancelled; co_await close() first, or use with()")),
                     internal::thread_state.root != nullptr ? internal::thread_state.root->name() : "group");
  }

  std::size_t size() const noexcept { return size_; }
  void set_closing() noexcept { closing_ = true; }
  std::exception_ptr take_failure() noexcept { return std::exchange(failure_, nullptr); }

 private:
  friend class Waiter;
  using Waiters = internal::IntrusiveList<Waiter, &Waiter::previous, &Waiter::following>;

  static void wake_all(Waiters& waiters) noexcept {
    while (Waiter* const waiter = waiters.pop_front()) waiter->wake(false);
  }

  const std::size_t limit_;
  std::size_t size_ = 0;
  std::size_t promised_ = 0;  // places given to waiters that have not spawned yet
  internal::IntrusiveList<Child, &Child::previous, &Child::following> children_;
  Waiters place_waiters_;
  Waiters end_waiters_;
  std::exception_ptr failure_;
  internal::ControlRef control_;  // of its tasks' loop, since the first one: where reports go
  bool cancelled_ = false;
  bool destroyed_ = false;
  bool closing_ = false;
};

TaskGroup::TaskGroup(TaskGroupOptions options) : state_(std::make_shared<State>(options.limit)) {}
TaskGroup::TaskGroup(TaskGroup&&) noexcept = default;
TaskGroup& TaskGroup::operator=(TaskGroup&& other) noexcept {
  const TaskGroup old(std::move(*this));
  state_ = std::move(other.state_);
  return *this;
}

TaskGroup::~TaskGroup() {
  if (state_ != nullptr) state_->destroy();
}

const std::shared_ptr<TaskGroup::State>& TaskGroup::checked_state() const {
  if (state_ == nullptr) throw std::logic_error("weir: this TaskGroup was moved from");
  return state_;
}

void TaskGroup::adopt(State& group, JoinStateBase& state) { group.adopt(state); }

Task<void> TaskGroup::free_place(State& group) {
  State::Waiter place(group, true);
  co_await place;
}

Task<void> TaskGroup::wait_for_all(std::shared_ptr<State> group) {
  do {
    State::Waiter all(*group, false);
    co_await all;
  } while (!group->idle());  // one that was woken before may have spawned
  if (std::exception_ptr failure = group->take_failure()) std::rethrow_exception(failure);
  Root::current().throw_if_interrupted();
}

Task<void> TaskGroup::close_all(std::shared_ptr<State> group) {
  group->set_closing();
  group->cancel();
  do {
    State::Waiter all(*group, false);
    co_await all;
  } while (!group->idle());
  if (std::exception_ptr failure = group->take_failure()) internal::report_unhandled(std::move(failure));
}

Task<void> TaskGroup::join() { return wait_for_all(checked_state()); }

Task<void> TaskGroup::close() { return close_all(checked_state()); }

void TaskGroup::cancel() noexcept {
  if (state_ != nullptr) state_->cancel();
}

std::size_t TaskGroup::size() const noexcept { return state_ == nullptr ? 0 : state_->size(); }

}  // namespace weir
