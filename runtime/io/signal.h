// SignalSet: signals of the process, taken one by one by a task instead of a handler.
//
//   absl::StatusOr<weir::SignalSet> signals = weir::SignalSet::create({SIGHUP, SIGUSR1});
//   while (absl::StatusOr<weir::Signal> signal = co_await signals->next(); signal.ok()) reload(signal->number());
//
// A signal that should be taken must not be delivered elsewhere: create() blocks the set on this thread, and close() or the
// destructor puts the mask back, once no other set of the thread wants it. A thread inherits the mask of the one that starts
// it, so make the set before any thread is started (the bridge starts its own when they are first needed); a thread that
// does not block the signal may be the one that the kernel gives it to, and there its handler runs. Children that weir
// starts (io/process.h) have a clean mask.
// A signal that was sent and not taken is delivered, as it would have been without the set, when the mask is put back.
// The same ordinary signal sent twice before it is taken comes once; real-time ones queue.
//
// Beside entrypoint(): it catches SIGINT and SIGTERM by handlers; to take these two here, turn that off
// (EntrypointOptions::catch_signals). All others are free.
//
// Threads: create() and next() on a loop's thread, always the same; it may be dropped on any thread, the mask is then put
// back by a post to the loop. One task waits in next() at a time, or several: each signal goes to one of them.
// Cancelling: next() takes no signal. Closing, or dropping the set, ends a next() with kCancelled.
// Errors: SIGKILL and SIGSTOP, which nobody can take, the signals of faults (SIGSEGV and its like), and SIGPIPE, which weir
// answers with EPIPE: kInvalidArgument.
// Cost: a descriptor; a system call or two a signal.
#pragma once

#include <sys/signalfd.h>
#include <sys/types.h>

#include <cstdint>
#include <initializer_list>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/task.h"

namespace weir {

// One signal that was taken.
class Signal {
 public:
  explicit Signal(const signalfd_siginfo& raw) noexcept : raw_(raw) {}

  int number() const noexcept { return static_cast<int>(raw_.ssi_signo); }
  pid_t sender() const noexcept { return static_cast<pid_t>(raw_.ssi_pid); }  // of kill(2) and its like; a SIGCHLD's child
  uid_t user() const noexcept { return raw_.ssi_uid; }
  int value() const noexcept { return raw_.ssi_int; }  // of sigqueue(3)
  const signalfd_siginfo& raw() const noexcept { return raw_; }

 private:
  signalfd_siginfo raw_;
};

namespace internal {
class SignalDescriptor;
}

class SignalSet {
 public:
  static absl::StatusOr<SignalSet> create(std::initializer_list<int> signals) {
    return create(absl::Span<const int>(signals.begin(), signals.size()));
  }
  static absl::StatusOr<SignalSet> create(absl::Span<const int> signals);

  // The next signal of the set.
  Task<absl::StatusOr<Signal>> next();

  // Puts the mask back, ends who waits in next(). Idempotent.
  Task<absl::Status> close();

  int fd() const noexcept { return descriptor_.fd(); }  // -1 when closed

 private:
  explicit SignalSet(internal::SignalDescriptor* descriptor) noexcept;

  internal::OwnedDescriptor descriptor_;
};

}  // namespace weir
