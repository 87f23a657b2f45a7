#include "weir/runtime/io/signal.h"

#include <poll.h>
#include <signal.h>

#include <array>
#include <cerrno>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/status.h"

namespace weir {
namespace internal {
namespace {

// How many sets of this thread want a signal blocked, and whether it was blocked before the first of them.
struct Blocked {
  int sets = 0;
  bool before = false;
};
thread_local std::array<Blocked, _NSIG> blocked_here;

const char* refused_signal(int signal) noexcept {
  if (signal < 1 || signal >= _NSIG) return "no such signal";
  switch (signal) {
    case SIGKILL:
    case SIGSTOP:
      return "nobody can take this signal";
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
      return "the signal of a fault in the program's own thread is not to be taken by a task";
    case SIGPIPE:
      return "weir answers with EPIPE where it would be raised";
    default:
      return nullptr;
  }
}

void block(const sigset_t& signals, Kernel& kernel) noexcept {
  sigset_t before;
  kernel.change_signal_mask(SIG_BLOCK, &signals, &before);
  for (int signal = 1; signal < _NSIG; ++signal) {
    if (!::sigismember(&signals, signal)) continue;
    Blocked& blocked = blocked_here[static_cast<std::size_t>(signal)];
    if (blocked.sets++ == 0) blocked.before = ::sigismember(&before, signal) == 1;
  }
}

void put_back(const sigset_t& signals, Kernel& kernel) noexcept {
  sigset_t freed;
  ::sigemptyset(&freed);
  for (int signal = 1; signal < _NSIG; ++signal) {
    if (!::sigismember(&signals, signal)) continue;
    Blocked& blocked = blocked_here[static_cast<std::size_t>(signal)];
    if (blocked.sets == 0) continue;  // of a thread that has ended, whose identifier this one got
    if (--blocked.sets == 0 && !blocked.before) ::sigaddset(&freed, signal);
  }
  kernel.change_signal_mask(SIG_UNBLOCK, &freed, nullptr);
}

}  // namespace

class SignalDescriptor final : public Descriptor {
 public:
  SignalDescriptor(int fd, Kernel& kernel, const sigset_t& signals, LoopControl& home) noexcept
      : Descriptor(fd, Kind::kPeer, kernel), signals_(signals), home_(ControlRef::share(&home)), thread_(std::this_thread::get_id()) {
    block(signals_, kernel);
  }

  // On its thread. Idempotent.
  void unblock() noexcept {
    if (unblocked_) return;
    unblocked_ = true;
    put_back(signals_, kernel());
  }

 private:
  // On its way to the thread whose mask it is.
  class Unblock final : public InboxNode {
   public:
    Unblock(const sigset_t& signals, Kernel& kernel) noexcept : signals_(signals), kernel_(kernel) {}
    void deliver() noexcept override {
      put_back(signals_, kernel_);
      delete this;
    }

   private:
    const sigset_t signals_;
    Kernel& kernel_;
  };

  ~SignalDescriptor() override {
    if (unblocked_) return;
    if (thread_ == std::this_thread::get_id()) {
      unblock();
      return;
    }
    auto* node = new Unblock(signals_, kernel());
    if (!home_->push(*node)) delete node;  // the loop is gone; its thread keeps the mask that it has
  }

  const sigset_t signals_;
  const ControlRef home_;
  const std::thread::id thread_;
  bool unblocked_ = false;
};

namespace {

using SignalsRef = DescriptorRef<SignalDescriptor>;

Task<absl::StatusOr<Signal>> next_of(SignalsRef signals) {
  for (;;) {
    const int events = co_await descriptor_operation(
        *signals, [](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_poll_add(sqe, fd, POLLIN); });
    if (events < 0) co_return errno_status(-events, "poll signalfd");
    if (signals->closing()) co_return errno_status(ECANCELED, "poll signalfd");
    // Not through the ring: a worker of the kernel would not see the signals that were sent to this thread alone.
    signalfd_siginfo raw;
    const int result = signals->kernel().read_signal(signals->fd(), &raw);
    if (result >= 0) co_return Signal(raw);
    if (result != -EAGAIN) co_return errno_status(-result, "read signalfd");  // EAGAIN: another task has taken it
  }
}

Task<absl::Status> close_signals(OwnedDescriptor descriptor, SignalsRef signals) {
  absl::Status closed = co_await descriptor.close("close signalfd");
  signals->unblock();
  co_return closed;
}

}  // namespace
}  // namespace internal

SignalSet::SignalSet(internal::SignalDescriptor* descriptor) noexcept : descriptor_(descriptor) {}

absl::StatusOr<SignalSet> SignalSet::create(absl::Span<const int> signals) {
  if (signals.empty()) return absl::InvalidArgumentError("SignalSet: no signals to wait for");
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) {
    if (const char* reason = internal::refused_signal(signal)) {
      return absl::InvalidArgumentError(absl::StrCat("SignalSet: ", signal, ": ", reason));
    }
    ::sigaddset(&set, signal);
  }
  internal::Engine& engine = internal::Root::current().engine();
  const int fd = engine.kernel().make_signalfd(set);
  if (fd < 0) return internal::errno_status(-fd, "signalfd");
  return SignalSet(new internal::SignalDescriptor(fd, engine.kernel(), set, engine.control()));
}

Task<absl::StatusOr<Signal>> SignalSet::next() {
  return internal::next_of(internal::SignalsRef(static_cast<internal::SignalDescriptor&>(descriptor_.get("SignalSet::next"))));
}

Task<absl::Status> SignalSet::close() {
  if (descriptor_.get_or_null() == nullptr) return descriptor_.close("close signalfd");
  internal::SignalsRef signals(static_cast<internal::SignalDescriptor&>(*descriptor_.get_or_null()));
  return internal::close_signals(std::move(descriptor_), std::move(signals));
}

}  // namespace weir
