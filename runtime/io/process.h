// Process: a child process, its end awaited, its standard streams as pipes.
//
//   const std::vector<std::string> command = {"sha256sum", path};
//   const weir::ProcessOptions options{.output = weir::ChildStream::pipe()};
//   absl::StatusOr<weir::Process> child = co_await weir::Process::spawn(command, options);
//   if (!child.ok()) co_return child.status();                     // "spawn sha256sum: No such file or directory"
//   absl::StatusOr<size_t> count = co_await child->output().read(weir::writable_bytes(text));   // 0 once it has closed it
//   absl::StatusOr<weir::ExitStatus> end = co_await child->wait();   // end->ok(): it exited with 0
//
// The child has every signal at its default disposition and none blocked, whatever the parent made of its own; weir's
// descriptors are closed in it, as is all that is close-on-exec. The program is looked for in $PATH unless its name has a
// slash. A Process does not outlive its owner's interest: one that is dropped while the child runs kills (SIGKILL) and reaps it,
// without blocking the loop; no zombie is left when the loop has ended.
//
// Threads: spawn(), wait() and the pipes on a loop's thread; it may be dropped on any thread.
// Cancelling: spawn() is not interrupted. A wait() that is cancelled kills the child, waits for its end, and then unwinds;
// with kill_on_cancel off it leaves the child alone, and so it does when the child may not be killed (it runs as another
// user): close() is then kPermissionDenied.
// Errors: a Status that names operation, program and errno, that of the exec too.
// Cost: the loop stands still while the program is loaded (about a millisecond; the parent's memory is not copied), and a
// descriptor for as long as the Process lives. A pipe that nobody reads stops the child once 64 KiB are in it.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/pipe.h"
#include "weir/runtime/task.h"

namespace weir {

// Where one of the child's standard streams leads.
class ChildStream {
 public:
  static constexpr ChildStream inherit() noexcept { return ChildStream(Kind::kInherit, -1); }  // the parent's own
  static constexpr ChildStream null() noexcept { return ChildStream(Kind::kNull, -1); }        // /dev/null
  static constexpr ChildStream pipe() noexcept { return ChildStream(Kind::kPipe, -1); }        // Process::input() and so on
  // A descriptor that the caller keeps, and that is open until spawn() has ended.
  static constexpr ChildStream fd(int number) noexcept { return ChildStream(Kind::kFd, number); }

 private:
  friend class Process;
  enum class Kind { kInherit, kNull, kPipe, kFd };
  constexpr ChildStream(Kind kind, int number) noexcept : kind_(kind), fd_(number) {}
  Kind kind_;
  int fd_;
};

struct ProcessOptions {
  ChildStream input = ChildStream::inherit();
  ChildStream output = ChildStream::inherit();
  ChildStream errors = ChildStream::inherit();
  absl::Span<const std::string> environment = {};  // "NAME=value", instead of or above the parent's
  bool inherit_environment = true;
  std::string_view directory = {};                 // empty: the parent's. A relative program is looked for in it
  bool new_group = false;                          // the child leads a process group, and kill() reaches all of it
  bool kill_on_cancel = true;
};

// How a child ended.
class ExitStatus {
 public:
  explicit ExitStatus(const siginfo_t& end) noexcept
      : code_(end.si_code == CLD_EXITED ? end.si_status : -1), signal_(end.si_code == CLD_EXITED ? 0 : end.si_status) {}

  bool ok() const noexcept { return code_ == 0; }
  int code() const noexcept { return code_; }      // of its exit; -1 when a signal ended it
  int signal() const noexcept { return signal_; }  // 0 when it exited
  std::string to_string() const;                   // "exit 1", "signal 9"

 private:
  int code_;
  int signal_;
};

namespace internal {
class Child;
}

class Process {
 public:
  // arguments[0] is the program.
  static Task<absl::StatusOr<Process>> spawn(std::vector<std::string> arguments, const ProcessOptions& options = {});

  // The child's end; also again, and by several tasks.
  Task<absl::StatusOr<ExitStatus>> wait();

  // To the child, or with new_group to its group. ESRCH once wait() has given its end.
  absl::Status kill(int signal = SIGTERM) const;

  // Kills what still runs, waits for its end, closes the pipes. Idempotent.
  Task<absl::Status> close();

  pid_t pid() const;

  // The parent's ends of its pipes. std::logic_error if the stream is none, or has been moved away.
  PipeWriter& input();
  PipeReader& output();
  PipeReader& errors();

  // A pidfd(2): readable when the child has ended; -1 when closed.
  int fd() const noexcept { return descriptor_.fd(); }
  // Lets the child live on: its number, for the caller to wait for (waitpid). std::logic_error while a wait() waits.
  pid_t release();

 private:
  class Starter;
  Process() noexcept = default;
  internal::Child& child(std::string_view what) const;

  internal::OwnedDescriptor descriptor_;
  std::optional<PipeWriter> input_;
  std::optional<PipeReader> output_;
  std::optional<PipeReader> errors_;
};

}  // namespace weir
