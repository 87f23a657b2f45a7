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

CancelScope::CancelScope(Root& root, Kind kind) noexcept : root_(root), outer_(root.innermost_), kind_(kind) {
  root.innermost_ = this;
  if (kind == Kind::kMask) root.refresh();
}

CancelScope::~CancelScope() {
  root_.innermost_ = outer_;
  root_.refresh();
}

void CancelScope::cancel() noexcept {
  if (cancelled_) return;
  cancelled_ = true;
  root_.refresh();
}

bool CancelScope::outer_interrupted() const noexcept { return root_.computed_interrupt(outer_); }

Root& Root::current() {
  Root* root = thread_state.root;
  if (root == nullptr) [[unlikely]] {
    throw LookupError("weir: co_await outside a task of a loop; start the coroutine with Loop::run() or spawn()");
  }
  return *root;
}

void Root::throw_cancelled() { throw Cancelled(); }

void Root::ready() noexcept {
  place_ = nullptr;
  engine_->make_ready(*this);
}

void Root::cancel() noexcept {
  if (done_ || cancelled_) return;
  cancelled_ = true;
  refresh();
}

bool Root::masked() const noexcept {
  for (const CancelScope* scope = innermost_; scope != nullptr; scope = scope->outer_) {
    if (scope->kind_ == CancelScope::Kind::kMask) return true;
  }
  return false;
}

bool Root::computed_interrupt(const CancelScope* from) const noexcept {
  for (const CancelScope* scope = from; scope != nullptr; scope = scope->outer_) {
    if (scope->cancelled_) return true;
    if (scope->kind_ == CancelScope::Kind::kMask) return false;
  }
  return cancelled_;
}

void Root::refresh() noexcept {
  const bool before = std::exchange(interrupted_, computed_interrupt(innermost_));
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

void Root::listen(DoneListener& listener) noexcept {
  DoneListener** end = &listeners_;
  while (*end != nullptr) end = &(*end)->next_listener_;
  listener.next_listener_ = nullptr;
  *end = &listener;
}

void Root::unlisten(DoneListener& listener) noexcept {
  for (DoneListener** at = &listeners_; *at != nullptr; at = &(*at)->next_listener_) {
    if (*at != &listener) continue;
    *at = listener.next_listener_;
    return;
  }
}

void Root::start(Engine& engine, std::coroutine_handle<> entry, std::string_view name, bool shielded) {
  if (!name.empty()) {
    name_ = new char[name.size() + 1];
    std::memcpy(name_, name.data(), name.size());
    name_[name.size()] = '\0';
  }
  engine_ = &engine;
  const Root* const spawner = thread_state.root;
  shielded_ = shielded || (spawner != nullptr && (spawner->shielded_ || spawner->masked()));
  context_ = Context::current();
  resume_point_ = entry;
  engine.add_root(*this);
  engine.make_ready(*this);
}

Root::~Root() { delete[] name_; }

void Root::run() {
  ThreadState& state = thread_state;
  Context* const context = Context::exchange_current(&context_);
  state.root = this;
  std::coroutine_handle<> point = std::exchange(resume_point_, nullptr);
  do {
    state.next = nullptr;
    point.resume();  // may end in the root's destruction: *this is not touched afterwards
    point = state.next;
  } while (point);
  state.root = nullptr;
  Context::exchange_current(context);
}

void Root::finish() noexcept {
  done_ = true;
  context_ = Context();
  engine_->remove_root(*this);
  while (listeners_ != nullptr) {
    DoneListener& listener = *listeners_;
    listeners_ = listener.next_listener_;
    listener.root_done(*this);
  }
}

void YieldAwaiter::await_suspend(std::coroutine_handle<> point) noexcept {
  Root& root = *thread_state.root;
  root.engine().yield(root, point);
}

}  // namespace weir::internal
