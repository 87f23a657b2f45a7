// TaskGroup: tasks that end together.
//
//   weir::TaskGroup group({.limit = 100});
//   while (…) co_await group.spawn_when_free(handle(std::move(connection)));
//   co_await group.join();
//
// The first failure cancels the rest, and join() rethrows it; later ones go to LoopOptions::on_unhandled. Results are
// dropped. Loop's thread; it may be moved at any time. Cost: a frame and a small node a task.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "weir/runtime/context.h"
#include "weir/runtime/join.h"
#include "weir/runtime/task.h"

namespace weir {

struct TaskGroupOptions {
  std::size_t limit = 0;  // how many may run at once for spawn_when_free(); 0: no limit
};

class TaskGroup {
 public:
  explicit TaskGroup(TaskGroupOptions options = {});
  TaskGroup(TaskGroup&&) noexcept;
  TaskGroup& operator=(TaskGroup&&) noexcept;  // what was in it ends as in ~TaskGroup
  // With live children: cancels them and reports it. Use `with`, or close(). Who waits in it gets std::logic_error.
  ~TaskGroup();

  // Starts a task of the group, whatever the limit. A JoinHandle or Call moved in is cancelled with the group. In a group
  // that was cancelled the task is cancelled before it starts.
  template <class A>
    requires internal::Awaitable<A>
  void spawn(A awaitable) {
    start(*checked_state(), std::move(awaitable));
  }

  // Waits for a place (first come, first served), then spawns. Runs in a snapshot of the context taken in the call.
  template <class A>
    requires internal::Awaitable<A>
  Task<void> spawn_when_free(A awaitable) {
    return spawn_later<A>(checked_state(), internal::Context::current(), std::move(awaitable));
  }

  // Waits until all have ended; rethrows the first failure. Cancelling who waits cancels them all, and waits for them.
  Task<void> join();

  // All children want to end; those that come later, too.
  void cancel() noexcept;

  // Cancels, and waits until all have ended. Failures go to LoopOptions::on_unhandled.
  Task<void> close();

  std::size_t size() const noexcept;  // those that have not ended

 private:
  class State;

  // std::logic_error in a group that was moved from.
  const std::shared_ptr<State>& checked_state() const;
  static void adopt(State& group, internal::JoinStateBase& state);
  static Task<void> free_place(State& group);
  static Task<void> wait_for_all(std::shared_ptr<State> group);
  static Task<void> close_all(std::shared_ptr<State> group);

  template <class A>
  static void start(State& group, A awaitable) {
    auto handle = internal::spawn_owned(std::move(awaitable), "group");
    adopt(group, internal::JoinAccess::state(handle));
  }

  template <class A>
  static Task<void> spawn_later(std::shared_ptr<State> group, internal::Context snapshot, A awaitable) {
    co_await free_place(*group);
    const internal::ContextScope scope(snapshot);
    start(*group, std::move(awaitable));
  }

  std::shared_ptr<State> state_;  // also held by who waits in it
};

}  // namespace weir
