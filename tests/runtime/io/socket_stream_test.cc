#include "weir/runtime/io/socket_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/gather.h"
#include "weir/runtime/timeout.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

std::string numbered(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

Task<> read_all_of(TcpStream& stream, const std::string& expected) {
  std::string text(expected.size(), '\0');
  const absl::Status status = co_await stream.read_exact(writable_bytes(text));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(text == expected);
}

TEST(SocketStream, WritesMoreThanTheKernelTakes) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    const std::string text = numbered(8 << 20);
    auto reading = spawn(read_all_of(pair.server, text));
    const absl::Status status = co_await pair.client.write_all(as_bytes(text));
    EXPECT_TRUE(status.ok()) << status;
    co_await reading;
  });
}

TEST(SocketStream, GathersParts) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    const std::string text = numbered(3 << 20);
    std::vector<absl::Span<const std::byte>> parts;
    const auto bytes = as_bytes(text);
    for (size_t at = 0; at < text.size(); at += 1000) parts.push_back(bytes.subspan(at, 1000));  // more than one request takes
    parts.insert(parts.begin() + 7, absl::Span<const std::byte>());
    auto reading = spawn(read_all_of(pair.server, text));
    const absl::Span<const absl::Span<const std::byte>> all(parts);
    const absl::Status status = co_await pair.client.write_all(all);
    EXPECT_TRUE(status.ok()) << status;
    co_await reading;
    const absl::Span<const absl::Span<const std::byte>> none;
    EXPECT_TRUE((co_await pair.client.write_all(none)).ok());
  });
}

TEST(SocketStream, EmptySpansMoveNothing) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    EXPECT_EQ((co_await pair.client.read({})).value(), 0u);
    EXPECT_EQ((co_await pair.client.write({})).value(), 0u);
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes(""))).ok());
    EXPECT_TRUE((co_await pair.client.read_exact({})).ok());
  });
}

TEST(SocketStream, APeerThatHalfClosesStillReads) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("abc"))).ok());
    EXPECT_TRUE((co_await pair.client.shutdown()).ok());
    std::string text(5, '\0');
    const absl::Status end = co_await pair.server.read_exact(writable_bytes(text));
    EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(end.message(), "read " + pair.server.peer_address().to_string() + ": end of stream after 3 of 5 bytes");
    EXPECT_EQ((co_await pair.server.read(writable_bytes(text))).value(), 0u);
    EXPECT_TRUE((co_await pair.server.write_all(as_bytes("later"))).ok());
    EXPECT_TRUE((co_await pair.client.read_exact(writable_bytes(text))).ok());
    EXPECT_EQ(text, "later");
  });
}

TEST(SocketStream, APeerThatResets) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    const std::string peer = pair.server.peer_address().to_string();
    std::string text(5, '\0');
    auto reading = spawn(pair.server.read(writable_bytes(text)));
    const linger at_once{1, 0};
    const absl::Span<const std::byte> option(reinterpret_cast<const std::byte*>(&at_once), sizeof at_once);
    EXPECT_TRUE((co_await pair.client.set_option(SOL_SOCKET, SO_LINGER, option)).ok());
    co_await enter_once();
    EXPECT_TRUE((co_await pair.client.close()).ok());
    const auto count = co_await reading;
    EXPECT_EQ(count.status().message(), "read " + peer + ": Connection reset by peer");
    EXPECT_EQ(status_errno(count.status()), ECONNRESET);
    // SIGPIPE would end this process.
    const absl::Status wrote = co_await pair.server.write_all(as_bytes("x"));
    EXPECT_EQ(status_errno(wrote), EPIPE) << wrote;
    const absl::Span<const std::byte> parts[] = {as_bytes("x"), as_bytes("y")};
    const absl::Status gathered = co_await pair.server.write_all(absl::MakeConstSpan(parts));
    EXPECT_EQ(status_errno(gathered), EPIPE) << gathered;
  });
}

TEST(SocketStream, TwoReadersAreAMistake) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    std::string first(5, '\0');
    std::string second(5, '\0');
    auto reading = spawn(pair.server.read(writable_bytes(first)));
    co_await enter_once();
    EXPECT_THROW((void)co_await pair.server.read(writable_bytes(second)), std::logic_error);
    EXPECT_THROW((void)co_await pair.server.read_exact(writable_bytes(second)), std::logic_error);
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("abcdef"))).ok());
    EXPECT_EQ((co_await reading).value(), 5u);
    EXPECT_EQ((co_await pair.server.read(writable_bytes(second))).value(), 1u);
  });
}

TEST(SocketStream, AStreamThatIsGoneIsAMistake) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    const TcpStream moved = std::move(pair.client);
    EXPECT_THROW((void)pair.client.peer_address(), std::logic_error);
    EXPECT_TRUE((co_await pair.server.close()).ok());
    EXPECT_THROW((void)co_await pair.server.write_all(as_bytes("x")), std::logic_error);
  });
}

// The number is given back after the operation's end, not before: else it could be another file's by then.
TEST(SocketStream, DroppingItCancelsAndKeepsTheNumberUntilTheEnd) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    std::string text(5, '\0');
    std::optional<TcpStream> stream(std::move(pair.server));
    const int fd = stream->fd();
    auto reading = spawn(stream->read(writable_bytes(text)));
    co_await enter_once();
    EXPECT_THROW(stream->release(), std::logic_error);
    stream.reset();
    EXPECT_GE(fcntl(fd, F_GETFD), 0);
    const auto count = co_await reading;
    EXPECT_EQ(count.status().code(), absl::StatusCode::kCancelled) << count.status();
    reading = {};
    EXPECT_EQ(fcntl(fd, F_GETFD), -1);
  });
}

TEST(SocketStream, ClosingItCancels) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    std::string text(5, '\0');
    auto reading = spawn(pair.server.read(writable_bytes(text)));
    auto never_started = spawn(pair.server.write(as_bytes("x")));
    co_await enter_once();
    EXPECT_TRUE((co_await never_started).ok());
    const int fd = pair.server.fd();
    auto late = pair.server.read_exact(writable_bytes(text));
    EXPECT_TRUE((co_await pair.server.close()).ok());
    EXPECT_EQ(fcntl(fd, F_GETFD), -1);
    EXPECT_EQ((co_await reading).status().code(), absl::StatusCode::kCancelled);
    EXPECT_EQ((co_await std::move(late)).code(), absl::StatusCode::kCancelled);
  });
}

TEST(SocketStream, ReleaseGivesTheNumberAway) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    const int fd = pair.client.release();
    EXPECT_EQ(pair.client.fd(), -1);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);  // as other libraries leave theirs
    TcpStream again = TcpStream::from_fd(fd);
    EXPECT_EQ(again.peer_address(), pair.server.local_address());
    std::string text(2, '\0');
    auto reading = spawn(again.read_exact(writable_bytes(text)));
    co_await enter_once();
    EXPECT_FALSE(reading.done());
    EXPECT_TRUE((co_await pair.server.write_all(as_bytes("ok"))).ok());
    EXPECT_TRUE((co_await reading).ok());
  });
}

TEST(SocketStream, ADeadlineEndsARead) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    std::string text(5, '\0');
    const auto late = co_await timeout(absl::Milliseconds(2), pair.server.read(writable_bytes(text)));
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("abcde"))).ok());
    EXPECT_TRUE((co_await pair.server.read_exact(writable_bytes(text))).ok());
    EXPECT_EQ(text, "abcde");
  });
}

Task<> answer_all(TcpStream stream) {
  std::string text(64, '\0');
  for (;;) {
    const auto count = co_await stream.read(writable_bytes(text));
    if (!count.ok() || *count == 0) co_return;
    if (!(co_await stream.write_all(as_bytes(std::string_view(text).substr(0, *count)))).ok()) co_return;
  }
}

Task<> ask_for_ever(SocketAddress address) {
  for (;;) {
    auto stream = co_await TcpStream::connect(address);
    if (!stream.ok()) continue;
    std::string answer(5, '\0');
    for (int i = 0; i < 3; ++i) {
      if (!(co_await stream->write_all(as_bytes("hello"))).ok()) break;
      if (!(co_await stream->read_exact(writable_bytes(answer))).ok()) break;
      EXPECT_EQ(answer, "hello");
    }
    if (!(co_await stream->close()).ok()) break;
  }
}

Task<> answer_for_ever(TcpListener& listener) {
  for (;;) {
    auto stream = co_await listener.accept();
    if (!stream.ok()) co_return;
    co_await answer_all(std::move(*stream));
  }
}

// A cancel at any point of connect, accept, read, write and close: nothing hangs, no descriptor is left.
TEST(SocketStream, CancelledAnywhereItLeaksNothing) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    for (int seed = 0; seed < storm(300); ++seed) {
      std::mt19937 random(static_cast<unsigned>(seed));
      TcpListener listener = TcpListener::bind(loopback()).value();
      std::vector<JoinHandle<void>> tasks;
      for (int i = 0; i < 3; ++i) {
        tasks.push_back(spawn(answer_for_ever(listener)));
        tasks.push_back(spawn(ask_for_ever(listener.local_address())));
      }
      co_await random_pause(random);
      co_await random_pause(random);
      std::shuffle(tasks.begin(), tasks.end(), random);
      for (JoinHandle<void>& task : tasks) {
        task.cancel();
        co_await random_pause(random);
      }
      for (JoinHandle<void>& task : tasks) EXPECT_THROW(co_await task, Cancelled);
      EXPECT_TRUE((co_await listener.close()).ok());
    }
  });
  EXPECT_EQ(open_descriptors(), before);
}

bool allow_descriptors(rlim_t count) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  if (limit.rlim_cur >= count) return true;
  if (limit.rlim_max < count) return false;
  limit.rlim_cur = count;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// What waits for a peer is never withheld: a small ring with thousands of reads in flight still serves the one that is busy.
TEST(SocketStream, IdleReadsHoldNothingUp) {
  constexpr int kIdle = 5000;
  if (!allow_descriptors(2 * kIdle + 200)) GTEST_SKIP() << "needs 10,200 descriptors; the hard limit of RLIMIT_NOFILE allows fewer";
  LoopOptions options;
  options.sq_entries = 8;
  options.cq_entries = 16;
  on_loop([]() -> Task<> {
    std::vector<TcpStream> streams;
    std::vector<JoinHandle<absl::StatusOr<size_t>>> reads;
    std::vector<char> bytes(kIdle);
    for (int i = 0; i < kIdle; ++i) {
      int fds[2];
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
      for (const int fd : fds) streams.push_back(TcpStream::from_fd(fd));
      const absl::Span<std::byte> one(reinterpret_cast<std::byte*>(&bytes[i]), 1);
      reads.push_back(spawn(streams[streams.size() - 2].read(one)));
    }
    co_await enter_once();
    StreamPair pair = co_await connected_pair();
    auto server = spawn(answer_all(std::move(pair.server)));
    std::string answer(5, '\0');
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE((co_await pair.client.write_all(as_bytes("hello"))).ok());
      EXPECT_TRUE((co_await pair.client.read_exact(writable_bytes(answer))).ok());
    }
    EXPECT_TRUE((co_await streams[77 * 2 + 1].write_all(as_bytes("x"))).ok());
    EXPECT_EQ((co_await reads[77]).value(), 1u);
    EXPECT_EQ(bytes[77], 'x');
    EXPECT_TRUE((co_await pair.client.close()).ok());
    co_await server;
    streams.clear();
    for (int i = 0; i < kIdle; ++i) {
      if (i == 77) continue;
      EXPECT_EQ((co_await reads[i]).status().code(), absl::StatusCode::kCancelled);
    }
  }, options);
}

}  // namespace
}  // namespace weir
