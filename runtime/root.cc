#include "weir/runtime/root.h"

#include <cstring>
#include <stdexcept>
#include <utility>

#include "weir/runtime/engine.h"
#include "weir/runtime/task.h"

namespace weir::internal {

void throw_task_is_spent() {
  throw std::logic_error("weir: this Task was awaited before, or moved from; a Task is awaited once");
}

CancelScope::CancelScope(Root& root, Kind kind) noexcept : root_(root), outer_level_(*root.level_), kind_(kind) {
  if (kind == Kind::kOpen) return;
  root.level_ = &level_;
  root.refresh();
}

CancelScope::~CancelScope() {
  if (kind_ == Kind::kOpen && !cancelled_) return;
  if (cancelled_) --own_level();
  root_.level_ = &outer_level_;
  root_.refresh();
}

void CancelScope::cancel() noexcept {
  if (cancelled_) return;
  cancelled_ = true;
  ++own_level();
  root_.refresh();
}

bool CancelScope::outer_interrupted() const noexcept {
  const unsigned own = kind_ == Kind::kOpen && cancelled_ ? 1 : 0;
  return outer_level_ != own;
}

void Root::throw_outside() {
  throw LookupError("weir: co_await outside a task of a loop; start the coroutine with Loop::run() or spawn()");
}

void Root::throw_cancelled() { throw Cancelled(); }

void Root::ready() noexcept {
  place_ = nullptr;
  engine_->make_ready(*this);
}

void Root::cancel() noexcept {
  if (done_ || cancelled_) return;
  cancelled_ = true;
  ++cancels_;
  refresh();
}

void Root::refresh() noexcept {
  const bool before = std::exchange(interrupted_, *level_ != 0);
  if (!before && interrupted_ && place_ != nullptr) tell_place();
}

// Telling one place may cancel further roots (a gather its children), and those others in turn. They are listed and told
// by the outermost call, so that cancelling a deep tree of tasks takes constant stack.
void Root::tell_place() noexcept {
  static constinit thread_local Root* last_told = nullptr;  // null: nobody is being told
  if (last_told != nullptr) {
    last_told = last_told->next_told_ = this;
    return;
  }
  last_told = this;
  for (Root* root = this; root != nullptr; root = std::exchange(root->next_told_, nullptr)) {
    // Null: another's cancel has made it ready meanwhile.
    if (Suspension* const place = std::exchange(root->place_, nullptr)) place->cancel();
  }
  last_told = nullptr;
}

void Root::listen(DoneListener& listener) noexcept { listeners_.push_back(listener); }

void Root::unlisten(DoneListener& listener) noexcept {
  if (listeners_.contains(listener)) listeners_.remove(listener);
}

void Root::set_name(std::string_view name) {
  name_ = new char[name.size() + 1];
  std::memcpy(name_, name.data(), name.size());
  name_[name.size()] = '\0';
}

std::coroutine_handle<> Root::root_end() const noexcept { return engine_->root_end(); }

class RootEnd::Coroutine {
 public:
  class promise_type {
   public:
    Coroutine get_return_object() noexcept { return Coroutine(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
  explicit Coroutine(std::coroutine_handle<> own_frame) noexcept : frame(own_frame) {}
  std::coroutine_handle<> frame;
};

RootEnd::Coroutine RootEnd::body() {
  for (;;) {
    thread_state.root->ended();
    co_await std::suspend_always();
  }
}

RootEnd::RootEnd() : frame_(body().frame) {}

void YieldAwaiter::await_suspend(std::coroutine_handle<> point) noexcept {
  Root& root = *thread_state.root;
  root.engine().yield(root, point);
}

}  // namespace weir::internal
