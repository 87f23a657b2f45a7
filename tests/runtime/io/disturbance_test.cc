// I/O while the process is disturbed: signals all the time, stopped and continued, forked.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "weir/runtime.h"
#include "weir/tests/testing/child_process.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

// SIGALRM every 100 microseconds, to a handler that does not restart system calls.
class Alarms {
 public:
  Alarms() {
    seen = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { seen = seen + 1; };
    ::sigaction(SIGALRM, &action, &before_);
    const itimerval often{{0, 100}, {0, 100}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  }
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;
  ~Alarms() {
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }
  static volatile sig_atomic_t seen;

 private:
  struct sigaction before_ = {};
};
volatile sig_atomic_t Alarms::seen = 0;

Task<> echo(TcpStream stream) {
  std::string text(4096, '\0');
  for (;;) {
    const absl::StatusOr<std::size_t> count = co_await stream.read(writable_bytes(text));
    EXPECT_TRUE(count.ok()) << count.status();
    if (!count.ok() || *count == 0) co_return;
    absl::Status sent = co_await stream.write_all(as_bytes(std::string_view(text).substr(0, *count)));
    EXPECT_TRUE(sent.ok()) << sent;
  }
}

Task<> file_round(File& file, int round) {
  const std::string block(20'000, static_cast<char>('a' + round % 26));
  absl::Status written = co_await file.write_all_at(as_bytes(block), 0);
  EXPECT_TRUE(written.ok()) << written;
  absl::Status synced = co_await file.fdatasync();
  EXPECT_TRUE(synced.ok()) << synced;
  std::string got(block.size(), '\0');
  absl::Status read = co_await file.read_exact_at(writable_bytes(got), 0);
  EXPECT_TRUE(read.ok()) << read;
  EXPECT_TRUE(got == block);
}

Task<> socket_round(TcpStream& client, int round) {
  const std::string block(30'000, static_cast<char>('a' + round % 26));
  auto writing = spawn(client.write_all(as_bytes(block)));
  std::string got(block.size(), '\0');
  absl::Status read = co_await client.read_exact(writable_bytes(got));
  EXPECT_TRUE(read.ok()) << read;
  EXPECT_TRUE((co_await writing).ok());
  EXPECT_TRUE(got == block);
}

TEST(Disturbance, SignalsEvery100MicrosecondsDisturbNoIo) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    File file = (co_await File::open(folder.file("x"), O_RDWR | O_CREAT)).value();
    StreamPair pair = co_await connected_pair();
    auto echoing = spawn(echo(std::move(pair.server)));
    const Alarms alarms;
    for (int round = 0; round < 20 || Alarms::seen < 100; ++round) {
      co_await file_round(file, round);
      co_await socket_round(pair.client, round);
      co_await sleep_for(absl::Microseconds(150));
    }
    EXPECT_TRUE((co_await pair.client.close()).ok());
    co_await echoing;
  });
}

TEST(Disturbance, AServiceThatIsStoppedGoesOnWhenItIsContinued) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const pid_t service = ::fork();
  ASSERT_GE(service, 0);
  if (service == 0) {
    ::close(ends[0]);
    on_loop([&]() -> Task<> {
      UnixStream stream = UnixStream::from_fd(ends[1]);
      std::string text(1, '\0');
      while ((co_await stream.read(writable_bytes(text))).value_or(0) == 1) {
        co_await sleep_for(absl::Microseconds(100));
        if (!(co_await stream.write_all(as_bytes(text))).ok()) co_return;
      }
    });
    ::_exit(0);
  }
  ::close(ends[1]);
  for (int round = 0; round < storm(30); ++round) {
    const char sent = static_cast<char>('a' + round % 26);
    if (round % 2 == 0) {
      ASSERT_EQ(::write(ends[0], &sent, 1), 1);  // stopped somewhere in its work
    }
    ASSERT_EQ(::kill(service, SIGSTOP), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(service, &status, WUNTRACED), service);
    ASSERT_TRUE(WIFSTOPPED(status));
    if (round % 2 == 1) {
      ASSERT_EQ(::write(ends[0], &sent, 1), 1);  // while it stands still
    }
    ASSERT_EQ(::kill(service, SIGCONT), 0);
    char got = 0;
    ASSERT_EQ(::read(ends[0], &got, 1), 1);
    EXPECT_EQ(got, sent);
  }
  ::close(ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(service, &status, 0), service);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

constexpr int kAnswered = 3;

// The child of a fork in a task: its parent's loop is of no use to it, a new one is.
[[noreturn]] void live_as_child(bool old_loop_threw) {
  std::string got;
  on_loop([&]() -> Task<> {
    Pipe own = Pipe::create().value();
    EXPECT_TRUE((co_await own.writer.write_all(as_bytes("own"))).ok());
    got.resize(3);
    EXPECT_TRUE((co_await own.reader.read_exact(writable_bytes(got))).ok());
  });
  ::_exit(old_loop_threw && got == "own" && !::testing::Test::HasFailure() ? kAnswered : 1);
}

TEST(Disturbance, AForkWithoutExecLeavesTheParentAlone) {
  auto loop = Loop::create();
  ASSERT_TRUE(loop.ok()) << loop.status();
  bool in_child = false;
  const auto body = [&]() -> Task<> {
    Pipe pipe = Pipe::create().value();
    std::string got(6, '\0');
    auto reading = spawn(pipe.reader.read_exact(writable_bytes(got)));
    auto timer = spawn(sleep_for(absl::Milliseconds(1)));
    co_await enter_once();  // the read is in flight
    const pid_t child = ::fork();
    if (child == 0) {
      in_child = true;
      (void)co_await pipe.writer.write_all(as_bytes("child!"));  // the old ring: run() throws
      co_return;
    }
    EXPECT_GT(child, 0);
    EXPECT_TRUE((co_await pipe.writer.write_all(as_bytes("parent"))).ok());
    EXPECT_TRUE((co_await reading).ok());
    EXPECT_EQ(got, "parent");
    co_await timer;
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), kAnswered);
    EXPECT_TRUE((co_await pipe.writer.close()).ok());
    EXPECT_EQ((co_await pipe.reader.read(writable_bytes(got))).value_or(9), 0u);  // nothing of the child's
  };
  try {
    (*loop)->run(body());
    if (in_child) live_as_child(false);
  } catch (const std::exception&) {
    if (!in_child) throw;
    live_as_child(true);
  }
}

}  // namespace
}  // namespace weir
