// receive() on a real kernel: what API and runtime/io/socket_stream.h promise.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/timeout.h"
#include "weir/tests/testing/sockets.h"
#include "weir/tests/testing/threads.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

std::string numbered(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

LoopOptions with_blocks(unsigned count, unsigned size) {
  LoopOptions options;
  options.receive_buffer_count = count;
  options.receive_buffer_size = size;
  return options;
}

// Everything up to the end.
Task<std::string> receive_all(TcpStream& stream) {
  std::string text;
  for (;;) {
    absl::StatusOr<Buffer> piece = co_await stream.receive();
    EXPECT_TRUE(piece.ok()) << piece.status();
    if (!piece.ok() || piece->empty()) co_return text;
    text += as_text(*piece);
  }
}

Task<> send_all(TcpStream& stream, std::string text) {
  const absl::Status status = co_await stream.write_all(as_bytes(text));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE((co_await stream.shutdown()).ok());
}

TEST(Receive, GivesWhatCameAndThenTheEnd) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("hello"))).ok());
    absl::StatusOr<Buffer> piece = co_await pair.server.receive();
    EXPECT_EQ(as_text(piece.value()), "hello");
    EXPECT_EQ(piece->capacity(), 4096u);
    EXPECT_TRUE((co_await pair.server.write_all(*piece)).ok());
    EXPECT_EQ(as_text((co_await pair.client.receive()).value()), "hello");
    EXPECT_TRUE((co_await pair.client.shutdown()).ok());
    EXPECT_TRUE((co_await pair.server.receive()).value().empty());
    EXPECT_TRUE((co_await pair.server.receive()).value().empty());  // again and again
    EXPECT_TRUE((co_await pair.server.close()).ok());
    EXPECT_THROW((void)co_await pair.server.receive(), std::logic_error);
  });
}

TEST(Receive, KeepsTheOrderOfALongStream) {
  for (const unsigned size : {16U, 4096U}) {
    on_loop([]() -> Task<> {
      StreamPair pair = co_await connected_pair();
      const std::string text = numbered(1 << 20);
      auto sending = spawn(send_all(pair.client, text));
      const std::string received = co_await receive_all(pair.server);
      EXPECT_TRUE(received == text) << received.size();
      co_await sending;
    }, with_blocks(64, size));
  }
}

// The reader sleeps while more comes than the loop has blocks for, and others go on.
TEST(Receive, AStalledReaderStarvesNobody) {
  on_loop([]() -> Task<> {
    StreamPair stalled = co_await connected_pair();
    const std::string text = numbered(300'000);
    EXPECT_TRUE((co_await stalled.client.write_all(as_bytes("x"))).ok());
    EXPECT_EQ(as_text((co_await stalled.server.receive()).value()), "x");  // from now on, the kernel receives
    auto sending = spawn(send_all(stalled.client, text));
    StreamPair busy = co_await connected_pair();
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE((co_await busy.client.write_all(as_bytes("ping"))).ok());
      EXPECT_EQ(as_text((co_await busy.server.receive()).value()), "ping");
    }
    EXPECT_TRUE((co_await receive_all(stalled.server)) == text);
    co_await sending;
  }, with_blocks(8, 64));
}

// The peer is not read from: its own buffers fill up, and no more of it is in this process than was promised.
TEST(Receive, StopsTheKernelWhileNobodyReads) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("x"))).ok());
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "x");
    auto sending = spawn(send_all(pair.client, numbered(64 << 20)));
    for (int i = 0; i < 200; ++i) co_await enter_once();
    EXPECT_FALSE(sending.done());
    sending.cancel();
    EXPECT_THROW(co_await sending, Cancelled);
  });
}

TEST(Receive, WaitsForABlockAndLosesNothing) {
  on_loop([]() -> Task<> {
    constexpr int kStreams = 6;
    std::vector<StreamPair> pairs;
    std::vector<Buffer> held;
    for (int i = 0; i < kStreams; ++i) {
      pairs.push_back(co_await connected_pair());
      EXPECT_TRUE((co_await pairs[i].client.write_all(as_bytes("first"))).ok());
      if (i < 2) held.push_back((co_await pairs[i].server.receive()).value());
    }
    std::vector<JoinHandle<absl::StatusOr<Buffer>>> waiting;
    for (int i = 2; i < kStreams; ++i) waiting.push_back(spawn(pairs[i].server.receive()));
    for (int i = 0; i < 20; ++i) co_await enter_once();
    for (auto& task : waiting) EXPECT_FALSE(task.done());
    const uint64_t submissions = Loop::current().stats().submissions;
    for (int i = 0; i < 50; ++i) co_await enter_once();
    EXPECT_EQ(Loop::current().stats().submissions, submissions + 50);  // nobody asks the kernel in vain
    waiting[1].cancel();
    EXPECT_THROW((void)co_await waiting[1], Cancelled);
    EXPECT_TRUE((co_await pairs[4].server.close()).ok());
    EXPECT_EQ((co_await waiting[2]).status().code(), absl::StatusCode::kCancelled);
    held.pop_back();
    EXPECT_EQ(as_text((co_await waiting[0]).value()), "first");
    EXPECT_EQ(as_text((co_await waiting[3]).value()), "first");
    EXPECT_EQ(as_text((co_await pairs[3].server.receive()).value()), "first");  // the cancel has lost nothing
    EXPECT_EQ(as_text(held[0]), "first");
  }, with_blocks(2, 64));
}

// The block comes home from another thread, and wakes the loop that sleeps.
TEST(Receive, ABlockDroppedOnAnotherThreadLetsAReaderGoOn) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("first"))).ok());
    Buffer held = (co_await pair.server.receive()).value();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("second"))).ok());
    for (int i = 0; i < 3; ++i) co_await enter_once();
    Gate go;
    std::thread thread([&go, buffer = std::move(held)]() mutable {
      go.wait();
      EXPECT_EQ(as_text(buffer), "first");
      buffer = Buffer();
    });
    auto open = [](Gate& gate) -> Task<> {
      gate.open();
      co_return;
    };
    auto opening = spawn(open(go));
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "second");
    thread.join();
  }, with_blocks(1, 64));
}

TEST(Receive, OneBlockServesMany) {
  on_loop([]() -> Task<> {
    std::vector<StreamPair> pairs;
    std::vector<JoinHandle<std::string>> receiving;
    std::vector<JoinHandle<void>> sending;
    const std::string text = numbered(5000);
    for (int i = 0; i < 30; ++i) pairs.push_back(co_await connected_pair());
    for (StreamPair& pair : pairs) {
      receiving.push_back(spawn(receive_all(pair.server)));
      sending.push_back(spawn(send_all(pair.client, text)));
    }
    for (auto& task : receiving) EXPECT_TRUE((co_await task) == text);
    for (auto& task : sending) co_await task;
  }, with_blocks(1, 100));
}

TEST(Receive, ReadTakesFirstWhatItLeft) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("0"))).ok());
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "0");
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("abcdefghij"))).ok());
    co_await enter_once();
    std::string three(3, '\0');
    EXPECT_EQ((co_await pair.server.read(writable_bytes(three))).value(), 3u);
    EXPECT_EQ(three, "abc");
    EXPECT_TRUE((co_await pair.server.read_exact(writable_bytes(three))).ok());
    EXPECT_EQ(three, "def");
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "ghij");
    std::string rest(6, '\0');
    auto reading = spawn(pair.server.read_exact(writable_bytes(rest)));
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("klm"))).ok());
    co_await enter_once();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("nop"))).ok());
    EXPECT_TRUE((co_await reading).ok());
    EXPECT_EQ(rest, "klmnop");
    EXPECT_TRUE((co_await pair.client.shutdown()).ok());
    const absl::Status end = co_await pair.server.read_exact(writable_bytes(rest));
    EXPECT_EQ(end.message(), "read " + pair.server.peer_address().to_string() + ": end of stream after 0 of 6 bytes");
    EXPECT_EQ((co_await pair.server.read(writable_bytes(rest))).value(), 0u);
  });
}

TEST(Receive, TwoReadersAreAMistake) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    auto receiving = spawn(pair.server.receive());
    co_await enter_once();
    std::string text(5, '\0');
    EXPECT_THROW((void)co_await pair.server.receive(), std::logic_error);
    EXPECT_THROW((void)co_await pair.server.read(writable_bytes(text)), std::logic_error);
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("x"))).ok());
    EXPECT_EQ(as_text((co_await receiving).value()), "x");
  });
}

TEST(Receive, ACancelEndsInTwoSystemCallsAndLosesNothing) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    for (int i = 0; i < 3; ++i) {
      auto receiving = spawn(pair.server.receive());
      co_await enter_once();
      co_await enter_once();
      const uint64_t before = Loop::current().stats().enters;
      receiving.cancel();
      EXPECT_THROW((void)co_await receiving, Cancelled);
      EXPECT_LE(Loop::current().stats().enters, before + 2);
    }
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("still here"))).ok());
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "still here");
    const auto late = co_await timeout(absl::Milliseconds(2), pair.server.receive());
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("more"))).ok());
    std::string text(4, '\0');
    EXPECT_TRUE((co_await pair.server.read_exact(writable_bytes(text))).ok());
    EXPECT_EQ(text, "more");
  });
}

// Cancels at random points while bytes come: the reader sees each of them once, in order.
TEST(Receive, CancelsAtAnyPointLoseNoByte) {
  on_loop([]() -> Task<> {
    for (int seed = 0; seed < storm(30); ++seed) {
      std::mt19937 random(static_cast<unsigned>(seed));
      StreamPair pair = co_await connected_pair();
      const std::string text = numbered(3000);
      auto send = [&]() -> Task<> {
        std::mt19937 pauses(static_cast<unsigned>(seed) + 1000);
        for (size_t at = 0; at < text.size();) {
          const size_t size = std::min<size_t>(text.size() - at, 1 + pauses() % 100);
          EXPECT_TRUE((co_await pair.client.write_all(as_bytes(std::string_view(text).substr(at, size)))).ok());
          at += size;
          co_await random_pause(pauses);
        }
        EXPECT_TRUE((co_await pair.client.shutdown()).ok());
      };
      auto sending = spawn(send());
      std::string received;
      for (bool ended = false; !ended;) {
        auto receiving = spawn(pair.server.receive());
        co_await random_pause(random);
        if (random() % 2 == 0) receiving.cancel();
        try {
          absl::StatusOr<Buffer> piece = co_await receiving;
          ended = piece.value().empty();
          received += as_text(*piece);
        } catch (const Cancelled&) {
        }
      }
      EXPECT_TRUE(received == text) << seed;
      co_await sending;
    }
  }, with_blocks(4, 32));
}

TEST(Receive, ClosingEndsIt) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    auto receiving = spawn(pair.server.receive());
    co_await enter_once();
    EXPECT_TRUE((co_await pair.server.close()).ok());
    EXPECT_EQ((co_await receiving).status().code(), absl::StatusCode::kCancelled);
    // Dropped while the kernel receives, and while bytes are unread.
    std::optional<StreamPair> other = co_await connected_pair();
    EXPECT_TRUE((co_await other->client.write_all(as_bytes("x"))).ok());
    EXPECT_EQ(as_text((co_await other->server.receive()).value()), "x");
    EXPECT_TRUE((co_await other->client.write_all(as_bytes("unread"))).ok());
    co_await enter_once();
    other.reset();
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Receive, APeerThatResets) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    const std::string peer = pair.server.peer_address().to_string();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("x"))).ok());
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "x");
    const linger at_once{1, 0};
    const absl::Span<const std::byte> option(reinterpret_cast<const std::byte*>(&at_once), sizeof at_once);
    EXPECT_TRUE((co_await pair.client.set_option(SOL_SOCKET, SO_LINGER, option)).ok());
    EXPECT_TRUE((co_await pair.client.close()).ok());
    co_await enter_once();  // it comes while nobody waits
    const absl::Status status = (co_await pair.server.receive()).status();
    EXPECT_EQ(status.message(), "receive " + peer + ": Connection reset by peer");
    EXPECT_EQ(status_errno(status), ECONNRESET);
    EXPECT_TRUE((co_await pair.server.receive()).value().empty());
  });
}

// Its bytes and its reset are both there before anybody receives, or both come while somebody waits.
TEST(Receive, APeerThatSendsAndResetsAtOnce) {
  on_loop([]() -> Task<> {
    for (const bool waits : {false, true}) {
      StreamPair pair = co_await connected_pair();
      const int peer = pair.client.release();
      const linger at_once{1, 0};
      EXPECT_EQ(setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
      std::optional<JoinHandle<absl::StatusOr<Buffer>>> receiving;
      if (waits) receiving = spawn(pair.server.receive());
      co_await enter_once();
      EXPECT_EQ(write(peer, "last", 4), 4);
      close(peer);
      if (!receiving) receiving = spawn(pair.server.receive());
      EXPECT_EQ(as_text((co_await *receiving).value()), "last");
      EXPECT_EQ(status_errno((co_await pair.server.receive()).status()), ECONNRESET);
    }
  });
}

TEST(Receive, APeerThatSendsAndClosesAtOnce) {
  on_loop([]() -> Task<> {
    for (const bool by_tcp : {false, true}) {
      for (const bool waits : {false, true}) {
        StreamPair pair = co_await connected_pair();
        int ends[2] = {-1, -1};
        if (by_tcp) {
          ends[0] = pair.client.release();
          ends[1] = pair.server.release();
        } else {
          EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        }
        TcpStream stream = TcpStream::from_fd(ends[1]);
        std::optional<JoinHandle<absl::StatusOr<Buffer>>> receiving;
        if (waits) receiving = spawn(stream.receive());
        co_await enter_once();
        EXPECT_EQ(write(ends[0], "last", 4), 4);
        close(ends[0]);
        if (!receiving) receiving = spawn(stream.receive());
        EXPECT_EQ(as_text((co_await *receiving).value()), "last");
        EXPECT_TRUE((co_await stream.receive()).value().empty());
      }
    }
  });
}

TEST(Receive, AStreamGivesItsNumberAway) {
  on_loop([]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("x"))).ok());
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "x");
    auto receiving = spawn(pair.server.receive());
    co_await enter_once();
    EXPECT_THROW(pair.server.release(), std::logic_error);
    receiving.cancel();
    EXPECT_THROW((void)co_await receiving, Cancelled);
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("y"))).ok());
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "y");
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("z"))).ok());
    for (int i = 0; i < 3; ++i) co_await enter_once();
    EXPECT_THROW(pair.server.release(), std::logic_error);  // "z" would be lost
    EXPECT_EQ(as_text((co_await pair.server.receive()).value()), "z");
    TcpStream again = TcpStream::from_fd(pair.server.release());
    EXPECT_TRUE((co_await pair.client.write_all(as_bytes("!"))).ok());
    EXPECT_EQ(as_text((co_await again.receive()).value()), "!");
  });
}

// Streams, unread bytes and Buffers outlive the loop that received.
TEST(Receive, TheLoopEndsFirst) {
  const int before = open_descriptors();
  {
    std::optional<StreamPair> pair;
    Buffer kept;
    auto loop = Loop::create();
    ASSERT_TRUE(loop.ok()) << loop.status();
    auto receive = [&]() -> Task<> {
      pair = co_await connected_pair();
      EXPECT_TRUE((co_await pair->client.write_all(as_bytes("kept"))).ok());
      kept = (co_await pair->server.receive()).value();
      EXPECT_TRUE((co_await pair->client.write_all(as_bytes("unread"))).ok());
      co_await enter_once();
      co_await enter_once();
    };
    (*loop)->run(receive());
    loop->reset();
    EXPECT_EQ(as_text(kept), "kept");
    // Another loop takes the stream over, with what was unread.
    auto next = Loop::create();
    auto go_on = [&]() -> Task<> {
      EXPECT_EQ(as_text((co_await pair->server.receive()).value()), "unread");
      EXPECT_TRUE((co_await pair->client.write_all(as_bytes("new"))).ok());
      EXPECT_EQ(as_text((co_await pair->server.receive()).value()), "new");
    };
    (*next)->run(go_on());
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Receive, UnixStreamsToo) {
  on_loop([]() -> Task<> {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    UnixStream one = UnixStream::from_fd(fds[0]);
    UnixStream other = UnixStream::from_fd(fds[1]);
    EXPECT_TRUE((co_await one.write_all(as_bytes("hi"))).ok());
    EXPECT_EQ(as_text((co_await other.receive()).value()), "hi");
    EXPECT_TRUE((co_await one.close()).ok());
    EXPECT_TRUE((co_await other.receive()).value().empty());
  });
}

}  // namespace
}  // namespace weir
