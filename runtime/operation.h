// The escape hatch: any single-shot SQE that liburing can prepare, with weir's cancellation and lifetime rules.
//
//   int result = co_await weir::submit([&](io_uring_sqe* sqe) { io_uring_prep_fallocate(sqe, fd, 0, 0, size); });
//
// `prepare` runs on the loop, once, when a slot in the submission queue is free, and lives with its captures until the
// terminal completion; it fills in the entry and nothing else. user_data is weir's. The result is the completion's res
// (-errno included), also when it arrived in spite of a cancel.
//
// Cancelling the task: an ASYNC_CANCEL is submitted, the terminal completion is awaited, and only then the coroutine is
// unwound (weir::Cancelled): memory that the SQE points to is the kernel's until then, and the caller's afterwards.
//
// IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_CQE_SKIP_SUCCESS and multishot requests: std::invalid_argument, nothing is
// submitted. Cost: a Task's frame; no system call of its own (it travels with the turn's one enter).
#pragma once

#include <liburing.h>

#include <cerrno>
#include <coroutine>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "weir/runtime/awaitable.h"
#include "weir/runtime/missing.h"
#include "weir/runtime/root.h"
#include "weir/runtime/task.h"

namespace weir {
namespace internal {

class Descriptor;

// One SQE on its way through the kernel. Lives in the frame of the coroutine that awaits it.
//
//   idle -> queued (waits for a slot) -> filling (the slot) -> in flight -> done
//                                                           -> on a thread -> done   (the kernel lacks it: fallback.h)
//
// A cancel of a queued one, or of one that cancels itself while it fills in its slot, ends it at once. A cancel of one in
// flight submits ASYNC_CANCEL and waits for both completions: the operation's terminal one, and the cancel's own, which
// names the operation and so must not outlive it.
class Operation : public Suspension {
 public:
  // Interrupts it: from Root::cancel, or because its descriptor is closed. Idempotent.
  void cancel() noexcept final;

  int result() const noexcept { return result_; }
  unsigned completion_flags() const noexcept { return completion_flags_; }

 protected:
  // Those that end by themselves (regular files) are admitted against the completion queue; those that wait for a peer
  // never wait for admission.
  enum class Waits : bool { kForDevice, kForPeer };

  explicit Operation(Waits waits, Descriptor* descriptor = nullptr) noexcept : descriptor_(descriptor), waits_(waits) {}
  ~Operation() = default;

  // Hands it to the loop; complete() follows.
  void start(Engine& engine) noexcept;
  // The same for one that starts again and again, on a descriptor.
  void start(Engine& engine, Descriptor& descriptor) noexcept {
    descriptor_ = &descriptor;
    start(engine);
  }

  // Fills in the zeroed entry. False: not to be submitted, result() is what fill() gave to refuse().
  virtual bool fill(io_uring_sqe& entry) noexcept = 0;
  void refuse(int result) noexcept { result_ = result; }

  // A completion that is not the last one (multishot). Like complete(), it must not resume a coroutine.
  virtual void more(int result, unsigned flags) noexcept;

  // All completions are in; on the loop, from the reaper: must not resume a coroutine.
  virtual void complete() noexcept = 0;

 private:
  friend class Submissions;
  friend class Descriptor;

  enum class State : uint8_t { kIdle, kQueued, kFilling, kInFlight, kOnThread, kDone };

  Engine* engine_ = nullptr;
  Descriptor* descriptor_;              // retained from start() to the end
  Operation* previous_ = nullptr;       // in one of the lists of Submissions
  Operation* following_ = nullptr;
  Operation* previous_on_descriptor_ = nullptr;
  Operation* following_on_descriptor_ = nullptr;
  int result_ = 0;
  unsigned completion_flags_ = 0;
  State state_ = State::kIdle;
  Waits waits_;
  uint8_t outstanding_ = 0;             // completions that have not come: its own, the cancel's
  bool in_admission_ = false;           // queued for admission, not for a slot
  bool cancel_wanted_ = false;
  bool cancel_queued_ = false;          // the cancel itself waits for a slot, or to be tried again
};

// The awaiter of an operation that one coroutine waits for. `Fill` is called with the entry.
template <class Fill>
class OperationAwaiter final : public Operation {
 public:
  OperationAwaiter(Waits waits, Descriptor* descriptor, Fill fill) : Operation(waits, descriptor), fill_(std::move(fill)) {}

  bool await_ready() {
    Root::current().throw_if_interrupted();
    return false;
  }
  void await_suspend(std::coroutine_handle<> point) noexcept {
    Root& root = *thread_state.root;
    root_ = &root;
    root.wait(point, *this);
    start(root.engine());
  }
  // The completion's res. Cancelled when the task was interrupted and the operation has ended for that reason.
  int await_resume() {
    const int res = result();
    if ((res == -ECANCELED || res == -EINTR) && root_->interrupted()) throw Cancelled();
    return res;
  }

  using Operation::Waits;

 private:
  bool fill(io_uring_sqe& entry) noexcept override { return fill_(*this, entry); }
  void complete() noexcept override { root_->ready(); }

  template <class>
  friend class OperationCall;

  Fill fill_;
  Root* root_ = nullptr;
};

// What `co_await operation(…)` takes: holds the parameters, makes the awaiter in place.
template <class Fill>
class OperationCall {
 public:
  OperationCall(bool waits_for_peer, Descriptor* descriptor, Fill fill) noexcept
      : waits_for_peer_(waits_for_peer), descriptor_(descriptor), fill_(std::move(fill)) {}

  auto operator co_await() && {
    using Awaiter = OperationAwaiter<Fill>;
    return Awaiter(waits_for_peer_ ? Awaiter::Waits::kForPeer : Awaiter::Waits::kForDevice, descriptor_, std::move(fill_));
  }

 private:
  bool waits_for_peer_;
  Descriptor* descriptor_;
  Fill fill_;
};

// Why an entry that a user's prepare() has filled in cannot be submitted, or nullptr.
const char* refused_entry(const io_uring_sqe& entry) noexcept;
[[noreturn]] void throw_refused_entry(const char* reason);

// The state of one submit(): the user's prepare, in the frame of the coroutine.
template <class Prepare>
class SubmittedEntry {
 public:
  explicit SubmittedEntry(Prepare& prepare) noexcept : prepare_(prepare) {}

  bool operator()(io_uring_sqe& entry) noexcept {
    try {
      prepare_(&entry);
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
    reason_ = refused_entry(entry);
    return reason_ == nullptr;
  }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
    if (reason_ != nullptr) throw_refused_entry(reason_);
  }

 private:
  Prepare& prepare_;
  std::exception_ptr failure_;
  const char* reason_ = nullptr;
};

}  // namespace internal

// See the top of this file. On a loop's thread.
template <class Prepare>
  requires std::is_invocable_v<Prepare&, io_uring_sqe*>
Task<int> submit(Prepare prepare) {
  internal::SubmittedEntry<Prepare> entry(prepare);
  const auto fill = [&entry](internal::Operation&, io_uring_sqe& sqe) noexcept { return entry(sqe); };
  internal::OperationCall call(true, nullptr, fill);
  const int result = co_await std::move(call);
  entry.rethrow();
  co_return internal::is_missing(result) ? -ENOSYS : result;
}

}  // namespace weir
