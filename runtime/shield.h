// shield: work that finishes although its caller is cancelled, and although the loop is going.
//
//   co_await weir::shield(commit(transaction));
//
// It runs as a task of its own, in a snapshot of the context variables taken in the call. A cancelled caller waits for
// it all the same, then gets Cancelled at once (a failure of the work goes to LoopOptions::on_unhandled then). Loop's
// thread. Cost: a frame more than the awaitable's own.
#pragma once

#include <utility>

#include "weir/runtime/context.h"
#include "weir/runtime/join.h"
#include "weir/runtime/task.h"

namespace weir {
namespace internal {

// Waits for a task's end whatever happens to who waits.
class ShieldedWait final : public Suspension, public DoneListener {
 public:
  explicit ShieldedWait(JoinStateBase& state) noexcept : state_(state) {}
  bool await_ready() const noexcept { return state_.done(); }
  void await_suspend(std::coroutine_handle<> point) noexcept {
    root_ = thread_state.root;
    root_->wait(point, *this);
    state_.listen(*this);
  }
  void await_resume() const noexcept {}

 private:
  void cancel() noexcept override {}
  void root_done(Root&) noexcept override { root_->ready(); }

  JoinStateBase& state_;
  Root* root_ = nullptr;
};

template <class A>
Task<awaited_t<A>> shielded(Context snapshot, A awaitable) {
  const auto start = [&snapshot, &awaitable] {
    const ContextScope scope(snapshot);
    return internal::spawn_owned(std::move(awaitable), "shield", true);
  };
  const JoinHandle<awaited_t<A>> handle = start();
  JoinState<awaited_t<A>>& state = JoinAccess::state(handle);
  co_await ShieldedWait(state);
  Root::current().throw_if_interrupted();
  state.observe();
  co_return state.result.take();
}

}  // namespace internal

template <class A>
  requires internal::Awaitable<A>
Task<internal::awaited_t<A>> shield(A awaitable) {
  return internal::shielded<A>(internal::Context::current(), std::move(awaitable));
}

}  // namespace weir
