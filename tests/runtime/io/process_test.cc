#include "weir/runtime/io/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/ring.h"
#include "weir/tests/testing/child_process.h"
#include "weir/tests/testing/io.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

using Command = std::vector<std::string>;

Command shell(std::string script) { return {"/bin/sh", "-c", std::move(script)}; }

Command words(const std::string& text) {
  std::istringstream stream(text);
  Command command;
  for (std::string word; stream >> word;) command.push_back(word);
  return command;
}

Task<Process> start(Command command, ProcessOptions options = {}) {
  absl::StatusOr<Process> child = co_await Process::spawn(std::move(command), options);
  EXPECT_TRUE(child.ok()) << child.status();
  co_return std::move(child).value();
}

Task<std::string> all_of(PipeReader& reader) {
  std::string text;
  std::string part(4096, '\0');
  for (;;) {
    absl::StatusOr<std::size_t> count = co_await reader.read(writable_bytes(part));
    EXPECT_TRUE(count.ok()) << count.status();
    if (!count.ok() || *count == 0) co_return text;
    text.append(part, 0, *count);
  }
}

Task<std::string> output_of(std::string script, ProcessOptions options = {}) {
  options.output = ChildStream::pipe();
  Process child = co_await start(shell(std::move(script)), options);
  std::string text = co_await all_of(child.output());
  absl::StatusOr<ExitStatus> end = co_await child.wait();
  EXPECT_TRUE(end.ok() && end->ok()) << end.status();
  co_return text;
}

constexpr ProcessOptions streams(ChildStream input, ChildStream output, ChildStream errors = ChildStream::inherit()) {
  return {.input = input, .output = output, .errors = errors};
}

constexpr ProcessOptions quiet() { return streams(ChildStream::null(), ChildStream::null(), ChildStream::null()); }

// Whether this process has any child left, running or not.
bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) >= 0 || errno != ECHILD; }

TEST(Process, TellsHowItEnded) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    Process child = co_await start(shell("exit 3"));
    EXPECT_GT(child.pid(), 0);
    ExitStatus end = (co_await child.wait()).value();
    EXPECT_EQ(end.code(), 3);
    EXPECT_EQ(end.signal(), 0);
    EXPECT_FALSE(end.ok());
    EXPECT_EQ(end.to_string(), "exit 3");
    EXPECT_EQ((co_await child.wait()).value().code(), 3);  // again
    Process killed = co_await start(shell("kill -9 $$"));
    end = (co_await killed.wait()).value();
    EXPECT_EQ(end.signal(), SIGKILL);
    EXPECT_EQ(end.code(), -1);
    EXPECT_EQ(end.to_string(), "signal 9");
    EXPECT_EQ(status_errno(killed.kill()), ESRCH);
  });
  EXPECT_FALSE(has_children());
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Process, StreamsArePipes) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    Process cat = co_await start(words("cat"), streams(ChildStream::pipe(), ChildStream::pipe()));
    const std::string sent(1 << 20, 'x');
    auto reading = spawn(all_of(cat.output()));
    EXPECT_TRUE((co_await cat.input().write_all(as_bytes(sent))).ok());
    EXPECT_TRUE((co_await cat.input().close()).ok());
    EXPECT_TRUE(co_await reading == sent);
    EXPECT_TRUE((co_await cat.wait()).value().ok());
    EXPECT_THROW((void)cat.errors(), std::logic_error);

    Process loud = co_await start(shell("echo out; echo error >&2"), streams(ChildStream::null(), ChildStream::null(), ChildStream::pipe()));
    EXPECT_EQ(co_await all_of(loud.errors()), "error\n");
  });
  EXPECT_FALSE(has_children());
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Process, AMissingProgramIsAStatusOfSpawn) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    const Command missing = {"/no/such/program", "x"};
    ProcessOptions options = streams(ChildStream::pipe(), ChildStream::pipe());
    absl::Status status = (co_await Process::spawn(missing, options)).status();
    EXPECT_EQ(status.message(), "spawn /no/such/program: No such file or directory");
    EXPECT_EQ(status_errno(status), ENOENT);
    const Command folder = {"/"};
    EXPECT_EQ(status_errno((co_await Process::spawn(folder)).status()), EACCES);
    options.directory = "/no/such/folder";
    const Command good = {"true"};
    status = (co_await Process::spawn(good, options)).status();
    EXPECT_EQ(status.message(), "spawn true in /no/such/folder: No such file or directory");
    const Command nothing;
    EXPECT_THROW((void)Process::spawn(nothing), std::invalid_argument);
  });
  EXPECT_FALSE(has_children());
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Process, EnvironmentAndDirectory) {
  on_loop([]() -> Task<> {
    ::setenv("WEIR_TEST_A", "parent", 1);
    const std::vector<std::string> entries = {"WEIR_TEST_B=child", "HOME=/nowhere"};
    ProcessOptions options{.environment = entries, .directory = "/usr"};
    EXPECT_EQ(co_await output_of("echo $WEIR_TEST_A $WEIR_TEST_B $HOME; pwd", options), "parent child /nowhere\n/usr\n");
    options.inherit_environment = false;
    EXPECT_EQ(co_await output_of("echo $WEIR_TEST_A $WEIR_TEST_B $HOME", options), "child /nowhere\n");
    ::unsetenv("WEIR_TEST_A");
  });
}

TEST(Process, SignalsAreClean) {
  on_loop([]() -> Task<> {
    SignalSet signals = SignalSet::create({SIGUSR1, SIGCHLD}).value();
    struct sigaction ignore = {}, before = {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGUSR2, &ignore, &before);
    std::istringstream masks(co_await output_of("awk '/SigBlk|SigIgn/ { print $2 }' /proc/self/status"));
    uint64_t blocked = 1, ignored = 1;
    masks >> std::hex >> blocked >> ignored;
    EXPECT_EQ(blocked, 0u);
    EXPECT_EQ(ignored & ~(uint64_t{3} << 31), 0u) << "but for the two that glibc keeps for itself";
    ::sigaction(SIGUSR2, &before, nullptr);
    EXPECT_EQ((co_await signals.next()).value().number(), SIGCHLD);
  });
}

TEST(Process, WeirsDescriptorsStayHome) {
  on_loop([]() -> Task<> {
    Pipe pipe = Pipe::create().value();
    SignalSet signals = SignalSet::create({SIGUSR1}).value();
    Process other = co_await start(words("cat"), streams(ChildStream::pipe(), ChildStream::null()));
    int inherited = 0;  // by the rules of the kernel
    for (int fd = 3; fd < 4096; ++fd) inherited += ::fcntl(fd, F_GETFD) == 0;
    std::istringstream lines(co_await output_of("ls /proc/self/fd"));
    int seen = 0;
    for (std::string line; std::getline(lines, line);) ++seen;
    EXPECT_LE(seen, inherited + 4);  // three streams, and the folder that ls reads
    EXPECT_TRUE((co_await other.close()).ok());
  });
}

TEST(Process, ACancelledWaitKills) {
  on_loop([]() -> Task<> {
    Process child = co_await start(words("sleep 1000"), quiet());
    EXPECT_EQ((co_await timeout(absl::Milliseconds(1), child.wait())).status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(::kill(child.pid(), 0), -1) << "killed and reaped";
    EXPECT_EQ((co_await child.wait()).value().signal(), SIGKILL);
  });
  EXPECT_FALSE(has_children());
}

TEST(Process, OrLeavesTheChildAlone) {
  on_loop([]() -> Task<> {
    ProcessOptions options = quiet();
    options.kill_on_cancel = false;
    Process child = co_await start(words("sleep 1000"), options);
    EXPECT_EQ((co_await timeout(absl::Milliseconds(1), child.wait())).status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_TRUE(child.kill(0).ok());
    EXPECT_TRUE(child.kill().ok());
    EXPECT_EQ((co_await child.wait()).value().signal(), SIGTERM);
  });
}

TEST(Process, DroppedChildrenAreKilledAndReaped) {
  const int before = open_descriptors();
  std::optional<Process> survivor;
  on_loop([&]() -> Task<> {
    { const Process here = co_await start(words("sleep 1000"), quiet()); }
    auto there = std::make_unique<Process>(co_await start(words("sleep 1000"), quiet()));
    std::thread([moved = std::move(there)]() mutable { moved.reset(); }).join();
    auto waited_for = std::make_unique<Process>(co_await start(words("sleep 1000"), quiet()));
    auto waiting = spawn(waited_for->wait());
    co_await yield();
    waited_for.reset();
    EXPECT_EQ((co_await waiting).status().code(), absl::StatusCode::kCancelled);
    survivor.emplace(co_await start(words("sleep 1000"), quiet()));
  });
  EXPECT_TRUE(has_children());
  survivor.reset();  // without a loop
  EXPECT_FALSE(has_children());
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Process, SeveralWaitForOne) {
  on_loop([]() -> Task<> {
    Process child = co_await start(words("cat"), streams(ChildStream::pipe(), ChildStream::null()));
    auto first = spawn(child.wait());
    auto second = spawn(child.wait());
    co_await yield();
    EXPECT_TRUE((co_await child.input().close()).ok());
    EXPECT_TRUE((co_await first).value().ok());
    EXPECT_TRUE((co_await second).value().ok());
  });
}

TEST(Process, AGroupIsKilledWhole) {
  on_loop([]() -> Task<> {
    ProcessOptions options = streams(ChildStream::null(), ChildStream::pipe());
    options.new_group = true;
    Process child = co_await start(shell("sleep 1000 & echo ready; wait"), options);
    std::string ready(6, '\0');
    EXPECT_TRUE((co_await child.output().read_exact(writable_bytes(ready))).ok());
    EXPECT_EQ(::getpgid(child.pid()), child.pid());
    EXPECT_TRUE(child.kill(SIGKILL).ok());
    EXPECT_EQ(co_await all_of(child.output()), "");  // ends once the grandchild has ended, too
    EXPECT_EQ((co_await child.wait()).value().signal(), SIGKILL);
  });
}

TEST(Process, CloseKillsAndWaits) {
  on_loop([]() -> Task<> {
    Process child = co_await start(words("cat"), streams(ChildStream::pipe(), ChildStream::pipe()));
    const auto body = [](Process& cat) -> Task<int> {
      EXPECT_TRUE((co_await cat.input().write_all(as_bytes("x"))).ok());
      std::string text(1, '\0');
      EXPECT_TRUE((co_await cat.output().read_exact(writable_bytes(text))).ok());
      co_return text[0];
    };
    EXPECT_EQ(co_await with(std::move(child), body), 'x');
    EXPECT_FALSE(has_children());
    Process second = co_await start(words("true"));
    EXPECT_TRUE((co_await second.close()).ok());
    EXPECT_TRUE((co_await second.close()).ok());
    EXPECT_EQ(second.fd(), -1);
    EXPECT_THROW((void)second.wait(), std::logic_error);
  });
}

TEST(Process, AForkedChildLeavesItAlone) {
  auto loop = Loop::create().value();
  std::optional<Process> child(loop->run(start(words("cat"), streams(ChildStream::pipe(), ChildStream::null()))));
  const pid_t forked = ::fork();
  if (forked == 0) {
    child.reset();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(forked, &status, 0), forked);
  const auto end = [](Process& cat) -> Task<> {
    (void)co_await cat.input().close();
    const absl::StatusOr<ExitStatus> ended = co_await cat.wait();
    EXPECT_TRUE(ended.ok() && ended->ok()) << ended.status();
  };
  loop->run(end(*child));
}

// A child that runs as somebody else, as one does behind sudo.
class Untouchable final : public internal::Kernel {
 public:
  int signal_child(int, int) noexcept override { return -EPERM; }
};

TEST(Process, OneThatMayNotBeKilledIsNotWaitedFor) {
  Untouchable kernel;
  auto loop = internal::LoopAccess::create(internal::Ring::create({}).value(), kernel, {}).value();
  const auto body = []() -> Task<pid_t> {
    Process child = co_await start(words("sleep 1000"), quiet());
    const pid_t pid = child.pid();
    EXPECT_EQ((co_await timeout(absl::Milliseconds(1), child.wait())).status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ((co_await child.close()).code(), absl::StatusCode::kPermissionDenied);
    co_return pid;
  };
  const pid_t pid = loop->run(body());
  loop.reset();
  EXPECT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid) << "nobody's to reap but its parent's";
}

TEST(Process, ReleaseLetsItLive) {
  on_loop([]() -> Task<> {
    pid_t pid = 0;
    {
      Process child = co_await start(words("cat"), streams(ChildStream::pipe(), ChildStream::null()));
      pid = child.release();
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);  // its input has ended
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
  });
}

// Whether the file that is open under that number holds this.
bool holds(int fd, const std::string& text) {
  std::string read(text.size() + 1, '\0');
  return ::pread(fd, read.data(), read.size(), 0) == static_cast<ssize_t>(text.size()) && read.substr(0, text.size()) == text;
}

TEST(Process, StandardStreamsCanBeExchanged) {
  const TemporaryFolder folder;
  const int status = exit_status_of([&] {
    const int first = ::open(folder.file("first").c_str(), O_RDWR | O_CREAT, 0600);
    const int second = ::open(folder.file("second").c_str(), O_RDWR | O_CREAT, 0600);
    if (::dup2(first, 1) < 0 || ::dup2(second, 2) < 0) return 1;
    on_loop([]() -> Task<> {
      Process child = co_await start(shell("echo out; echo errors >&2"), streams(ChildStream::null(), ChildStream::fd(2), ChildStream::fd(1)));
      (void)co_await child.wait();
    });
    return holds(first, "errors\n") && holds(second, "out\n") ? 0 : 2;
  });
  EXPECT_EQ(status, 0);
}

TEST(Process, ParentsWithoutStandardStreams) {
  const int status = exit_status_of([] {
    int result = 1;
    for (const int fd : {0, 1, 2}) ::close(fd);
    on_loop([&]() -> Task<> {
      Process cat = co_await start(words("cat"), streams(ChildStream::pipe(), ChildStream::pipe(), ChildStream::null()));
      const bool sent = (co_await cat.input().write_all(as_bytes("abc"))).ok() && (co_await cat.input().close()).ok();
      const std::string got = co_await all_of(cat.output());
      const absl::StatusOr<ExitStatus> end = co_await cat.wait();
      result = sent && got == "abc" && end.ok() && end->ok() ? 0 : 2;
    });
    return result;
  });
  EXPECT_EQ(status, 0);
}

class WithoutPidfd final : public internal::Kernel {
 public:
  int open_pidfd(int) noexcept override { return -EMFILE; }
};

TEST(Process, WithoutADescriptorLeftNothingIsLeftRunning) {
  WithoutPidfd kernel;
  auto ring = internal::Ring::create({});
  ASSERT_TRUE(ring.ok()) << ring.status();
  auto loop = internal::LoopAccess::create(std::move(*ring), kernel, {}).value();
  const auto attempt = []() -> Task<absl::Status> {
    const Command command = {"sleep", "1000"};
    ProcessOptions options = quiet();
    co_return (co_await Process::spawn(command, options)).status();
  };
  EXPECT_EQ(loop->run(attempt()).message(), "spawn sleep, pidfd_open: Too many open files");
  EXPECT_FALSE(has_children());
}

TEST(Process, AnEndThatSomebodyElseTookIsAStatus) {
  on_loop([]() -> Task<> {
    Process child = co_await start(words("true"));
    EXPECT_EQ(::waitpid(child.pid(), nullptr, 0), child.pid());
    EXPECT_EQ(status_errno((co_await child.wait()).status()), ECHILD);
    EXPECT_EQ(status_errno(child.kill()), ESRCH);
  });
}

TEST(Process, StormOfChildren) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    TaskGroup group({.limit = 8});
    const auto one = [](int number) -> Task<> {
      if (number % 3 == 0) {
        Process cat = co_await start(words("cat"), streams(ChildStream::pipe(), ChildStream::pipe()));
        auto reading = spawn(all_of(cat.output()));
        EXPECT_TRUE((co_await cat.input().write_all(as_bytes("hello"))).ok());
        EXPECT_TRUE((co_await cat.input().close()).ok());
        EXPECT_EQ(co_await reading, "hello");
        EXPECT_TRUE((co_await cat.wait()).value().ok());
      } else {
        Process sleeper = co_await start(words("sleep 1000"), quiet());
        if (number % 3 == 1) (void)co_await timeout(absl::Microseconds(100 * (number % 7)), sleeper.wait());
      }
    };
    for (int number = 0; number < storm(60); ++number) co_await group.spawn_when_free(one(number));
    co_await group.join();
  });
  EXPECT_FALSE(has_children());
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace weir
