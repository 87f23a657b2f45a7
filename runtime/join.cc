#include "weir/runtime/join.h"

#include <cxxabi.h>

#include <stdexcept>
#include <typeinfo>

#include "weir/runtime/engine.h"

namespace weir::internal {
namespace {

// cancel() of a foreign thread, on its way to the loop. Holds a reference.
class CancelRequest final : public InboxNode {
 public:
  explicit CancelRequest(JoinStateBase& state) noexcept : state_(state) { state.retain(); }
  ~CancelRequest() { state_.release(); }
  void deliver() noexcept override {
    state_.cancel();
    delete this;
  }

 private:
  JoinStateBase& state_;
};

}  // namespace

JoinStateBase::~JoinStateBase() {
  if (control_ != nullptr) Engine::give_back_control(control_);
}

bool JoinStateBase::on_own_loop() const noexcept {
  return thread_state.engine != nullptr && &thread_state.engine->control() == control_;
}

void JoinStateBase::begin(std::coroutine_handle<> entry, std::string_view name, bool shielded) {
  Engine* const engine = thread_state.engine;
  if (engine == nullptr) {
    destroy_frame();
    throw LookupError("spawn(): no loop runs on this thread; call it from a task, or post() to a LoopHandle");
  }
  control_ = engine->take_control();
  start(*engine, entry, name, shielded);
}

void JoinStateBase::note_failure() noexcept {
  const std::type_info* type = abi::__cxa_current_exception_type();
  ended_by_cancelled_ = type != nullptr && *type == typeid(Cancelled);
}

void JoinStateBase::end() noexcept {
  finish();
  unpin();
}

void JoinStateBase::report() const noexcept { control_->report(failure(), name()); }

void JoinStateBase::let_go() noexcept {
  if (!observed_ && !ended_cancelled() && failure() != nullptr) report();
  destroy_frame();
}

void JoinStateBase::request_cancel() noexcept {
  if (on_own_loop()) return cancel();
  auto* request = new CancelRequest(*this);
  if (!control_->push(*request)) delete request;  // the loop is gone, and the task with it
}

bool JoinAwaiterBase::await_ready() const {
  if (kind_ == JoinKind::kLeave) Root::current().throw_if_interrupted();
  if (!state_.on_own_loop()) {
    throw std::logic_error("weir: a JoinHandle is awaited on the loop of its task; reach it with on() from another");
  }
  if (&state_ == thread_state.root) throw DeadlockError("weir: a task awaits its own JoinHandle, and so would never end");
  return state_.done();
}

void JoinAwaiterBase::await_suspend(std::coroutine_handle<> point) noexcept {
  root_ = thread_state.root;
  state_.pin();
  root_->wait(point, *this);
  state_.listen(*this);
  if (kind_ == JoinKind::kOwn && root_->interrupted()) state_.cancel();
}

void JoinAwaiterBase::check_ended() const {
  if (!state_.done()) throw Cancelled();
}

void JoinAwaiterBase::cancel() noexcept {
  if (kind_ == JoinKind::kOwn) return state_.cancel();  // its end wakes us
  state_.unlisten(*this);
  root_->ready();
}

void JoinAwaiterBase::root_done(Root&) noexcept { root_->ready(); }

}  // namespace weir::internal
