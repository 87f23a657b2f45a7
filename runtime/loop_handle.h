// LoopHandle: how any thread reaches a loop.
//
//   weir::LoopHandle handle = loop.handle();
//   std::thread([handle] { handle.post([] { std::puts("on the loop"); }); });
//
// Copies share a control block (inbox, eventfd, state) that outlives the loop, so a handle may be kept, copied and
// used on any thread at any time.
#pragma once

#include <atomic>
#include <exception>
#include <string_view>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "weir/runtime/inbox.h"

namespace weir {

class Loop;

namespace internal {

class Kernel;

// What remains of a loop for as long as anybody refers to it. Counted; any thread.
class LoopControl {
 public:
  // The loop's constructor. -errno when there is no eventfd to be had.
  static LoopControl* create(Kernel& kernel, int& error);

  void retain(int count = 1) noexcept { references_.fetch_add(count, std::memory_order_relaxed); }  // the caller holds one
  void release(int count = 1) noexcept {
    // acq_rel, with itself: whoever deletes the block sees all that the others did with it.
    if (references_.fetch_sub(count, std::memory_order_acq_rel) == count) delete this;
  }

  // Hands `node` to the loop and wakes it if it sleeps. False: the loop is gone, the node is still the caller's. A node
  // that was taken is delivered, at the latest while the loop is destroyed. The caller's reference to this block must
  // not be one that the delivered node gives back: the node may be delivered before push() has returned.
  bool push(InboxNode& node) noexcept;

  // Between the loop's construction and the start of its destruction.
  bool alive() const noexcept { return !going_.load(std::memory_order_acquire); }  // pairs with set_going()
  void set_going() noexcept { going_.store(true, std::memory_order_release); }     // pairs with alive()

  // What is pushed is refused, for good. False may be old news.
  bool gone() const noexcept { return inbox_.closed(); }

  // The thread that runs the loop, from its first run() until the loop is gone. On that thread.
  void set_own_thread(bool bound) noexcept;
  // Whether the calling thread is that one, also between two runs: whoever waits here for the loop waits for ever.
  bool on_own_thread() const noexcept;

  // Reports an exception that nobody awaits, on the calling thread; on stderr once the loop is gone, as then
  // on_unhandled_user may be gone, too.
  void report(std::exception_ptr failure, std::string_view task) const noexcept;

  using Report = void (*)(std::exception_ptr, std::string_view task, void* user) noexcept;
  void set_report(Report function, void* user) noexcept {
    report_ = function;
    report_user_ = user;
  }
  void end_reports() noexcept { reports_ended_.store(true, std::memory_order_release); }  // pairs with report()

  Inbox& inbox() noexcept { return inbox_; }
  int eventfd() const noexcept { return eventfd_; }
  uint64_t wakeups_written() const noexcept { return wakeups_written_.load(std::memory_order_relaxed); }  // a statistic

 private:
  LoopControl(Kernel& kernel, int eventfd) noexcept : kernel_(kernel), eventfd_(eventfd) {}
  ~LoopControl();

  Kernel& kernel_;
  const int eventfd_;
  Report report_ = nullptr;  // null: one line on stderr
  void* report_user_ = nullptr;
  std::atomic<bool> reports_ended_{false};
  alignas(64) Inbox inbox_;  // written with each push: on a cache line of its own
  alignas(64) std::atomic<int> references_{1};
  std::atomic<bool> going_{false};
  std::atomic<const void*> own_thread_{nullptr};  // the address of that thread's current_control
  std::atomic<uint64_t> wakeups_written_{0};
};

// A counted reference to a control block.
class ControlRef {
 public:
  ControlRef() = default;
  static ControlRef share(LoopControl* control) noexcept {
    if (control != nullptr) control->retain();
    return ControlRef(control);
  }
  static ControlRef adopt(LoopControl* control) noexcept { return ControlRef(control); }
  ControlRef(const ControlRef& other) noexcept : ControlRef(share(other.control_)) {}
  ControlRef(ControlRef&& other) noexcept : control_(std::exchange(other.control_, nullptr)) {}
  ControlRef& operator=(ControlRef other) noexcept {
    std::swap(control_, other.control_);
    return *this;
  }
  ~ControlRef() {
    if (control_ != nullptr) control_->release();
  }
  LoopControl* get() const noexcept { return control_; }
  LoopControl* operator->() const noexcept { return control_; }
  explicit operator bool() const noexcept { return control_ != nullptr; }

 private:
  explicit ControlRef(LoopControl* control) noexcept : control_(control) {}
  LoopControl* control_ = nullptr;
};

// The loop that LoopHandle::current() answers on this thread: set by the loop itself, and by the bridge for what it runs
// on a thread for a loop. Not owned.
inline constinit thread_local LoopControl* current_control = nullptr;

// relaxed, both: only the thread itself ever finds its own address there, and what it wrote it sees.
inline void LoopControl::set_own_thread(bool bound) noexcept {
  own_thread_.store(bound ? &current_control : nullptr, std::memory_order_relaxed);
}
inline bool LoopControl::on_own_thread() const noexcept {
  return own_thread_.load(std::memory_order_relaxed) == &current_control;
}

// Names the current loop of this thread until the scope ends.
class CurrentLoopScope {
 public:
  explicit CurrentLoopScope(LoopControl* control) noexcept : before_(std::exchange(current_control, control)) {}
  CurrentLoopScope(const CurrentLoopScope&) = delete;
  CurrentLoopScope& operator=(const CurrentLoopScope&) = delete;
  ~CurrentLoopScope() { current_control = before_; }

 private:
  LoopControl* const before_;
};

struct HandleAccess;

}  // namespace internal

class LoopHandle {
 public:
  LoopHandle(Loop& loop);  // NOLINT: a Loop& converts where a handle is wanted

  // The loop that runs on this thread, or for which the bridge runs something on it. LookupError elsewhere.
  static LoopHandle current();

  // Runs `function` on the loop's thread, after what was posted before; any thread. An exception that escapes it goes to
  // LoopOptions::on_unhandled. LoopClosed once the loop is going or gone: then it never runs. Cost: one allocation;
  // an eventfd is written only if the loop sleeps.
  void post(absl::AnyInvocable<void()> function) const;

  // False once the loop is going or gone.
  bool alive() const { return control_->alive(); }

  friend bool operator==(const LoopHandle& a, const LoopHandle& b) { return a.control_.get() == b.control_.get(); }

 private:
  friend struct internal::HandleAccess;
  explicit LoopHandle(internal::ControlRef control) noexcept : control_(std::move(control)) {}

  internal::ControlRef control_;
};

namespace internal {

// For the rest of the runtime and the bridge.
struct HandleAccess {
  static LoopControl& control(const LoopHandle& handle) noexcept { return *handle.control_.get(); }
  static LoopHandle make(LoopControl& control) noexcept { return LoopHandle(ControlRef::share(&control)); }
};

[[noreturn]] void throw_loop_closed(std::string_view what);

}  // namespace internal
}  // namespace weir
