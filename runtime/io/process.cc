#include "weir/runtime/io/process.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/status.h"

namespace weir {
namespace internal {
namespace {

// Takes the end of a child that nobody waits for any more, and closes its pidfd. Deletes itself.
class Reaper final : public InboxNode, public Operation {
 public:
  // `killed`: its end is near; else it may be any time away, and at the loop's end it is left alone. `home`: the loop that
  // waits for the end if none runs on this thread.
  static void take(int pidfd, bool killed, Kernel& kernel, const ControlRef& home) {
    auto* reaper = new Reaper(pidfd, killed, kernel);
    if (reaper->ended(false)) return;
    if (thread_state.engine != nullptr) return reaper->start(*thread_state.engine);
    if (!home->push(*reaper)) reaper->complete();
  }

 private:
  Reaper(int pidfd, bool killed, Kernel& kernel) noexcept
      : Operation(Waits::kForPeer), kernel_(kernel), pidfd_(pidfd), killed_(killed) {}
  ~Reaper() = default;

  bool fill(io_uring_sqe& entry) noexcept override {
    io_uring_prep_poll_add(&entry, pidfd_, POLLIN);
    return true;
  }
  void complete() noexcept override {
    if (!ended(killed_)) let_go();
  }
  void deliver() noexcept override { start(*thread_state.engine); }

  bool ended(bool wait) noexcept {
    siginfo_t end;
    if (kernel_.reap_child(pidfd_, wait, &end) >= 0 && end.si_pid == 0) return false;
    let_go();
    return true;
  }
  void let_go() noexcept {
    kernel_.close(pidfd_);
    delete this;
  }

  Kernel& kernel_;
  const int pidfd_;
  const bool killed_;
};

}  // namespace

// The descriptor is the pidfd. Loop's thread, but for the destructor.
class Child final : public Descriptor {
 public:
  Child(int pidfd, int pid, Engine& engine, std::string name, bool leads_group, bool kill_on_cancel) noexcept
      : Descriptor(pidfd, Kind::kPeer, engine.kernel()),
        name_(std::move(name)),
        home_(ControlRef::share(&engine.control())),
        pid_(pid),
        leads_group_(leads_group),
        kill_on_cancel_(kill_on_cancel) {}

  int pid() const noexcept { return pid_; }
  bool kill_on_cancel() const noexcept { return kill_on_cancel_; }
  const std::optional<ExitStatus>& end() const noexcept { return end_; }
  void let_go() noexcept { lost_ = true; }

  std::string what(std::string_view operation) const {
    return absl::StrCat(absl::string_view(operation.data(), operation.size()), " ", name_, " (pid ", pid_, ")");
  }

  // As kill(2). Until its end is taken the number is the child's, and no other's.
  int signal(int number) const noexcept {
    if (end_ || lost_) return -ESRCH;
    const int result = leads_group_ ? kernel().signal_group(pid_, number) : -ESRCH;
    return result == -ESRCH ? kernel().signal_child(fd(), number) : result;  // a leader may have left its group
  }
  // No other's to wait for: closed, dropped or released.
  bool gone() const noexcept { return lost_ || closing(); }

  // Takes the end if it has come. 0, or what waitid(2) failed with: ECHILD when somebody else took it.
  int reap() noexcept {
    siginfo_t end;
    const int result = kernel().reap_child(fd(), false, &end);
    if (result >= 0 && end.si_pid != 0) end_ = ExitStatus(end);
    lost_ = result < 0;
    return result;
  }

 private:
  ~Child() override {
    if (end_ || lost_ || kernel().process() != process_) return;
    const bool killed = signal(SIGKILL) >= 0;
    Reaper::take(give_up(), killed, kernel(), home_);
  }

  const std::string name_;
  const ControlRef home_;
  const int pid_;
  const int process_ = kernel().process();
  const bool leads_group_;
  const bool kill_on_cancel_;
  bool lost_ = false;  // no longer weir's to end: released, or reaped by somebody else
  std::optional<ExitStatus> end_;
};

namespace {

using ChildRef = DescriptorRef<Child>;

Task<absl::StatusOr<ExitStatus>> end_of(ChildRef child) {
  while (!child->end()) {
    int result = co_await descriptor_operation(
        *child, [](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_poll_add(sqe, fd, POLLIN); });
    if (result >= 0 && !child->end()) result = child->gone() ? -ECANCELED : child->reap();
    if (result < 0) co_return errno_status(-result, child->what("wait"));
  }
  co_return *child->end();
}

Task<absl::StatusOr<ExitStatus>> wait_for(ChildRef child) {
  std::optional<absl::StatusOr<ExitStatus>> end;
  try {
    end = co_await end_of(child);
  } catch (const Cancelled&) {
    if (!child->kill_on_cancel()) throw;
  }
  if (end) co_return *std::move(end);
  if (child->signal(SIGKILL) != -EPERM) {  // another user's now: it ends when it likes
    const CancelScope mask(Root::current(), CancelScope::Kind::kMask);
    end = co_await end_of(child);
  }
  throw Cancelled();
}

Task<absl::Status> close_child(OwnedDescriptor owned, ChildRef child) {
  const CancelScope mask(Root::current(), CancelScope::Kind::kMask);
  if (child->signal(SIGKILL) == -EPERM) co_return errno_status(EPERM, child->what("kill"));
  const absl::StatusOr<ExitStatus> end = co_await end_of(child);
  const absl::Status closed = co_await owned.close(child->what("close"));
  co_return end.ok() ? closed : end.status();
}

std::string name_of(const std::string& entry) { return entry.substr(0, entry.find('=')); }

std::vector<std::string> environment_of(const ProcessOptions& options) {
  std::vector<std::string> entries;
  std::vector<std::string> names;
  for (const std::string& entry : options.environment) {
    entries.push_back(entry);
    names.push_back(name_of(entry));
  }
  if (!options.inherit_environment) return entries;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::find(names.begin(), names.end(), name_of(*entry)) == names.end()) entries.emplace_back(*entry);
  }
  return entries;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Descriptors that are closed at the end of the scope.
class Closing {
 public:
  explicit Closing(Kernel& kernel) noexcept : kernel_(kernel) {}
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;
  ~Closing() {
    for (const int fd : fds_) kernel_.close(fd);
  }
  void add(int fd) { fds_.push_back(fd); }

 private:
  Kernel& kernel_;
  std::vector<int> fds_;
};

}  // namespace
}  // namespace internal

// One spawn(): what was asked for, copied, until the child runs.
class Process::Starter {
 public:
  Starter(std::vector<std::string> arguments, const ProcessOptions& options)
      : arguments_(std::move(arguments)),
        environment_(internal::environment_of(options)),
        directory_(options.directory),
        what_(absl::StrCat("spawn ", arguments_[0])),
        options_(options) {
    if (!directory_.empty()) absl::StrAppend(&what_, " in ", directory_);
  }

  absl::StatusOr<Process> start() {
    internal::Engine& engine = internal::Root::current().engine();
    internal::Kernel& kernel = engine.kernel();
    internal::Closing childs_ends(kernel);
    Process process;
    const std::vector<char*> arguments = internal::pointers_to(arguments_);
    const std::vector<char*> environment = internal::pointers_to(environment_);
    internal::ChildPlan plan{arguments[0],
                             arguments.data(),
                             environment.data(),
                             directory_.empty() ? nullptr : directory_.c_str(),
                             {},
                             options_.new_group};
    for (int stream = 0; stream < 3; ++stream) {
      const int source = source_of(stream, process, childs_ends, kernel);
      if (source <= kFailed) return internal::errno_status(kFailed - source, what_);
      plan.streams[stream] = source;
    }
    const int pid = kernel.start_child(plan);
    if (pid < 0) return internal::errno_status(-pid, what_);
    const int pidfd = kernel.open_pidfd(pid);
    if (pidfd < 0) {
      kernel.end_child(pid);
      return internal::errno_status(-pidfd, absl::StrCat(what_, ", pidfd_open"));
    }
    auto* const child = new internal::Child(pidfd, pid, engine, arguments_[0], options_.new_group, options_.kill_on_cancel);
    process.descriptor_ = internal::OwnedDescriptor(child);
    return process;
  }

 private:
  static constexpr int kFailed = -1000;  // and below: minus the errno

  // What ChildPlan::streams wants.
  int source_of(int stream, Process& process, internal::Closing& childs_ends, internal::Kernel& kernel) {
    const ChildStream& wanted = stream == 0 ? options_.input : stream == 1 ? options_.output : options_.errors;
    switch (wanted.kind_) {
      case ChildStream::Kind::kInherit:
        return internal::ChildPlan::kInherit;
      case ChildStream::Kind::kNull:
        return internal::ChildPlan::kNull;
      case ChildStream::Kind::kFd:
        return above_streams(wanted.fd_, childs_ends, kernel);
      case ChildStream::Kind::kPipe:
        break;
    }
    int ends[2];
    const int result = kernel.make_pipe(ends);
    if (result < 0) return kFailed + result;
    childs_ends.add(ends[stream == 0 ? 0 : 1]);
    if (stream == 0) {
      process.input_ = PipeWriter::from_fd(ends[1]);
    } else {
      (stream == 1 ? process.output_ : process.errors_) = PipeReader::from_fd(ends[0]);
    }
    return above_streams(ends[stream == 0 ? 0 : 1], childs_ends, kernel);
  }

  // A stream's own number would be written over while the streams are put in place.
  int above_streams(int fd, internal::Closing& childs_ends, internal::Kernel& kernel) {
    if (fd > 2) return fd;
    const int copy = kernel.copy_above_streams(fd);
    if (copy < 0) return kFailed + copy;
    childs_ends.add(copy);
    return copy;
  }

  std::vector<std::string> arguments_;
  std::vector<std::string> environment_;
  const std::string directory_;
  std::string what_;
  const ProcessOptions options_;  // its views are not used any more
};

std::string ExitStatus::to_string() const {
  return signal_ != 0 ? absl::StrCat("signal ", signal_) : absl::StrCat("exit ", code_);
}

Task<absl::StatusOr<Process>> Process::spawn(std::vector<std::string> arguments, const ProcessOptions& options) {
  if (arguments.empty()) throw std::invalid_argument("Process::spawn: no program; arguments[0] names it");
  const auto start = [](Starter starter) -> Task<absl::StatusOr<Process>> { co_return starter.start(); };
  return start(Starter(std::move(arguments), options));
}

internal::Child& Process::child(std::string_view what) const { return static_cast<internal::Child&>(descriptor_.get(what)); }

Task<absl::StatusOr<ExitStatus>> Process::wait() { return internal::wait_for(internal::ChildRef(child("Process::wait"))); }

absl::Status Process::kill(int signal) const {
  const internal::Child& target = child("Process::kill");
  const int result = target.signal(signal);
  return result < 0 ? internal::errno_status(-result, target.what("kill")) : absl::OkStatus();
}

Task<absl::Status> Process::close() {
  input_.reset();
  output_.reset();
  errors_.reset();
  if (descriptor_.get_or_null() == nullptr) return descriptor_.close("close");
  internal::ChildRef closed(child("Process::close"));
  return internal::close_child(std::move(descriptor_), std::move(closed));
}

pid_t Process::pid() const { return child("Process::pid").pid(); }

pid_t Process::release() {
  internal::Child& kept = child("Process::release");
  if (!kept.idle()) throw std::logic_error("Process::release(): a wait() waits for this child; cancel it first");
  kept.let_go();
  const pid_t pid = kept.pid();
  descriptor_ = internal::OwnedDescriptor();
  return pid;
}

namespace {

template <class End>
End& end_or_throw(std::optional<End>& end, const char* stream) {
  if (!end) throw std::logic_error(absl::StrCat("Process::", stream, "(): no pipe; ask for one by ProcessOptions::", stream, " = ChildStream::pipe()"));
  return *end;
}

}  // namespace

PipeWriter& Process::input() { return end_or_throw(input_, "input"); }
PipeReader& Process::output() { return end_or_throw(output_, "output"); }
PipeReader& Process::errors() { return end_or_throw(errors_, "errors"); }

}  // namespace weir
