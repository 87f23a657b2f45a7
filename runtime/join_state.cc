#include "weir/runtime/join_state.h"

#include <typeinfo>

#include "weir/runtime/engine.h"

namespace weir::internal {

// cancel() of a foreign thread, on its way to the loop.
class JoinStateBase::CancelRequest final : public InboxNode {
 public:
  explicit CancelRequest(JoinStateBase& state) noexcept : state_(state) { state_.requests_.fetch_add(1, std::memory_order_relaxed); }
  ~CancelRequest() { state_.requests_.fetch_sub(1, std::memory_order_relaxed); }
  void deliver() noexcept override {
    JoinStateBase& state = state_;
    state.cancel();
    delete this;
    if (state.holders_ == 0) state.end_unless_awaited();
  }

 private:
  JoinStateBase& state_;
};

JoinStateBase::~JoinStateBase() {
  if (control_ != nullptr) Engine::give_back_control(control_);
}

std::coroutine_handle<> JoinStateBase::begin(std::coroutine_handle<> entry, Suspension* before_start, std::string_view name,
                                             bool shielded) {
  Engine* const engine = thread_state.engine;
  if (engine == nullptr) {
    destroy();
    throw LookupError("spawn(): no loop runs on this thread; call it from a task, or post() to a LoopHandle");
  }
  control_ = engine->take_control();
  start(*engine, entry, before_start, name, shielded);
  return engine->root_end();
}

void JoinStateBase::note_failure(const std::exception_ptr& failure) noexcept {
  const std::type_info* const type = failure.__cxa_exception_type();
  ended_by_cancelled_ = type != nullptr && *type == typeid(Cancelled);
}

void JoinStateBase::end() noexcept {
  finish();
  let_go();
}

void JoinStateBase::report() const noexcept { control_->report(failure(), name()); }

void JoinStateBase::travel_home() noexcept {
  const ControlRef control = ControlRef::share(control_);  // outlives the state, which may end before push() has returned
  if (!control->push(*this)) end_of_life();
}

// A cancel that is still on its way ends it when it comes.
void JoinStateBase::end_unless_awaited() noexcept {
  if (requests_.load(std::memory_order_relaxed) == 0) end_of_life();
}

void JoinStateBase::end_of_life() noexcept {
  if (!observed_ && !ended_cancelled() && failure() != nullptr) report();
  destroy();
}

void JoinStateBase::request_cancel() noexcept {
  if (on_own_loop()) return cancel();
  auto* request = new CancelRequest(*this);
  if (!control_->push(*request)) delete request;  // the loop is gone, and the task with it
}

}  // namespace weir::internal
