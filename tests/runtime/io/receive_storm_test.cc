// Attacks on receive() and serve(): thousands of idle connections, peers that misbehave, cancels anywhere.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/io/io_state.h"
#include "weir/runtime/io/receive_blocks.h"
#include "weir/runtime/timeout.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

LoopOptions with_blocks(unsigned count, unsigned size) {
  LoopOptions options;
  options.receive_buffer_count = count;
  options.receive_buffer_size = size;
  return options;
}

Task<> echo(TcpStream stream) {
  for (;;) {
    absl::StatusOr<Buffer> piece = co_await stream.receive();
    if (!piece.ok() || piece->empty()) co_return;
    if (!(co_await stream.write_all(*piece)).ok()) co_return;
  }
}

internal::ReceiveBlocks* blocks_of_this_loop() { return internal::IoState::of(internal::Root::current().engine()).receive_blocks(); }

// Whether all blocks of the loop are in the kernel's hands, or it has none.
bool all_blocks_home() {
  internal::ReceiveBlocks* const blocks = blocks_of_this_loop();
  return blocks == nullptr || (blocks->available() == blocks->block_count() && blocks->leased() == 0);
}

bool allow_descriptors(rlim_t count) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  if (limit.rlim_cur >= count) return true;
  if (limit.rlim_max < count) return false;
  limit.rlim_cur = count;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// Not under sanitizers, whose memory is another one, nor with the large frames of an unoptimized build.
#ifdef __OPTIMIZE__
constexpr bool kMeasuresMemory = WEIR_RECYCLE_FRAMES != 0;
#else
constexpr bool kMeasuresMemory = false;
#endif

// Idle connections cost no block and little memory, and hold nobody up.
TEST(ReceiveStorm, ThousandsOfIdleConnections) {
  constexpr int kIdle = 5000;
  if (!allow_descriptors(2 * kIdle + 200)) GTEST_SKIP() << "needs 10,200 descriptors; the hard limit of RLIMIT_NOFILE allows fewer";
  LoopOptions options = with_blocks(16, 256);
  options.sq_entries = 8;
  options.cq_entries = 16;
  on_loop([]() -> Task<> {
    std::vector<TcpStream> streams;
    std::vector<int> peers;
    std::vector<JoinHandle<absl::StatusOr<Buffer>>> waiting;
    peers.reserve(kIdle);
    streams.reserve(kIdle);
    waiting.reserve(kIdle);
    const struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < kIdle; ++i) {
      int fds[2];
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
      streams.push_back(TcpStream::from_fd(fds[0]));
      peers.push_back(fds[1]);
      waiting.push_back(spawn(streams.back().receive()));
    }
    co_await enter_once();
    co_await enter_once();
    const struct mallinfo2 after = mallinfo2();
    const size_t each = (after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / kIdle;
    if (kMeasuresMemory) {
      EXPECT_LE(each, 1024u);
    }
    EXPECT_TRUE(all_blocks_home());
    StreamPair pair = co_await connected_pair();
    auto server = spawn(echo(std::move(pair.server)));
    std::string answer(5, '\0');
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE((co_await pair.client.write_all(as_bytes("hello"))).ok());
      EXPECT_TRUE((co_await pair.client.read_exact(writable_bytes(answer))).ok());
    }
    EXPECT_EQ(write(peers[77], "x", 1), 1);
    EXPECT_EQ(as_text((co_await waiting[77]).value()), "x");
    EXPECT_TRUE((co_await pair.client.close()).ok());
    co_await server;
    for (int i = 0; i < kIdle; ++i) {
      if (i == 77) continue;
      if (i % 2 == 0) waiting[i].cancel();
    }
    streams.clear();
    for (int i = 0; i < kIdle; ++i) {
      if (i == 77) continue;
      if (i % 2 == 0) {
        EXPECT_THROW((void)co_await waiting[i], Cancelled);
      } else {
        EXPECT_EQ((co_await waiting[i]).status().code(), absl::StatusCode::kCancelled);
      }
    }
    for (const int fd : peers) close(fd);
    EXPECT_TRUE(all_blocks_home());
  }, options);
}

// More connections with bytes than blocks, and all blocks are held: everybody waits, nobody asks the kernel again. Once the
// blocks are dropped everybody gets his bytes, for a bounded number of requests.
Task<> none_left(int connections) {
  constexpr size_t kBlocks = 5;
  StreamPair greedy = co_await connected_pair();
  std::vector<Buffer> held;
  while (held.size() < kBlocks) {
    auto receiving = spawn(greedy.server.receive());  // who waits gets the block itself
    co_await enter_once();
    EXPECT_TRUE((co_await greedy.client.write_all(as_bytes("x"))).ok());
    held.push_back((co_await receiving).value());
  }
  EXPECT_EQ(blocks_of_this_loop()->available(), 0u);
  std::vector<TcpStream> streams;
  std::vector<JoinHandle<void>> readers;
  streams.reserve(connections);
  readers.reserve(connections);
  int ended = 0;
  const auto read = [&ended](TcpStream& from, int number) -> Task<> {
    absl::StatusOr<Buffer> piece = co_await from.receive();
    for (int i = 0; i < number % 7; ++i) co_await yield();  // keeps it
    EXPECT_EQ(as_text(piece.value()), std::to_string(number));
    piece = Buffer();
    EXPECT_TRUE((co_await from.receive()).value().empty());
    ++ended;
  };
  for (int i = 0; i < connections; ++i) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    const std::string text = std::to_string(i);
    EXPECT_EQ(write(fds[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(fds[1]);
    streams.push_back(TcpStream::from_fd(fds[0]));
    readers.push_back(spawn(read, std::ref(streams.back()), i));
  }
  for (uint64_t before = 0; before + 1 != Loop::current().stats().submissions;) {  // until every request has been answered
    before = Loop::current().stats().submissions;
    co_await enter_once();
  }
  EXPECT_EQ(ended, 0);
  const LoopStats waiting = Loop::current().stats();
  for (int i = 0; i < 50; ++i) co_await enter_once();
  EXPECT_EQ(Loop::current().stats().submissions, waiting.submissions + 50);  // the loop sleeps as far as they are concerned
  held.clear();
  for (auto& reader : readers) co_await reader;
  EXPECT_EQ(ended, connections);
  const LoopStats after = Loop::current().stats();
  EXPECT_LE(after.submissions - waiting.submissions, 50 + 8 * static_cast<uint64_t>(connections));
  EXPECT_LE(after.enters - waiting.enters, 100 + 8 * static_cast<uint64_t>(connections));
}

TEST(ReceiveStorm, NoBlockLeftForTenThousandConnections) {
  constexpr int kConnections = WEIR_RECYCLE_FRAMES != 0 ? 10'000 : 1000;  // fewer under sanitizers
  if (!allow_descriptors(kConnections + 200)) GTEST_SKIP() << "needs 10,200 descriptors; the hard limit of RLIMIT_NOFILE allows fewer";
  const int descriptors = open_descriptors();
  on_loop([]() -> Task<> {
    co_await none_left(kConnections);
    co_await enter_once();
    EXPECT_TRUE(all_blocks_home());
    const struct mallinfo2 before = mallinfo2();
    co_await none_left(kConnections);
    co_await enter_once();
    EXPECT_TRUE(all_blocks_home());
    const struct mallinfo2 after = mallinfo2();
    if (kMeasuresMemory) {
      EXPECT_LE(after.uordblks + after.hblkhd, before.uordblks + before.hblkhd + 65'536);  // nothing grows from one to the next
    }
  }, with_blocks(5, 64));
  EXPECT_EQ(open_descriptors(), descriptors);
}

// One client of a storm: sends byte by byte or at once, half-closes, resets, stalls, or goes.
Task<> misbehave(SocketAddress address, std::mt19937& random) {
  auto made = co_await TcpStream::connect(address);
  if (!made.ok()) co_return;
  TcpStream stream = std::move(*made);
  const unsigned kind = random() % 6;
  if (kind == 0 || random() % 8 != 0) {  // most end with a reset: thousands of orderly ends would keep their ports for a minute
    const linger at_once{1, 0};
    (void)co_await stream.set_option(SOL_SOCKET, SO_LINGER, absl::Span<const std::byte>(reinterpret_cast<const std::byte*>(&at_once), sizeof at_once));
  }
  if (kind == 0) {
    (void)co_await stream.write_all(as_bytes("x"));
    co_return;
  }
  if (kind == 1) co_return;  // says nothing
  const std::string text(1 + random() % 300, static_cast<char>('a' + random() % 26));
  if (kind == 2) {
    for (const char byte : text.substr(0, 20)) {
      if (!(co_await stream.write_all(as_bytes(std::string_view(&byte, 1)))).ok()) co_return;
      co_await random_pause(random);
    }
    co_return;
  }
  if (!(co_await stream.write_all(as_bytes(text))).ok()) co_return;
  if (kind == 3 && !(co_await stream.shutdown()).ok()) co_return;
  std::string answer(text.size(), '\0');
  if ((co_await stream.read_exact(writable_bytes(answer))).ok()) {
    EXPECT_EQ(answer, text);
  }
  if (kind == 4) (void)co_await timeout(absl::Microseconds(300), stream.receive());  // stalls
}

// Connections that are opened, used and closed, servers and clients cancelled at random points: afterwards everything is
// as it was.
TEST(ReceiveStorm, CancelledAnywhereItLeaksNothing) {
  const int descriptors = open_descriptors();
  on_loop([]() -> Task<> {
    constexpr int kAtOnce = 20;
    for (int round = 0; round < storm(500); ++round) {
      std::mt19937 random(static_cast<unsigned>(round));
      TcpListener listener = TcpListener::bind(loopback()).value();
      auto serving = spawn(serve(listener, echo));
      std::vector<JoinHandle<void>> clients;
      for (int i = 0; i < kAtOnce; ++i) {
        clients.push_back(spawn(misbehave(listener.local_address(), random)));
        if (random() % 4 == 0) co_await random_pause(random);
      }
      for (auto& client : clients) {
        if (random() % 3 == 0) client.cancel();
        co_await random_pause(random);
      }
      if (round % 2 == 0) serving.cancel();
      for (auto& client : clients) {
        if (round % 2 == 0) client.cancel();  // its server may be gone
        try {
          co_await client;
        } catch (const Cancelled&) {
        }
      }
      if (round % 2 != 0) serving.cancel();
      EXPECT_THROW((void)co_await serving, Cancelled);
      EXPECT_TRUE((co_await listener.close()).ok());
    }
    for (int i = 0; i < 3; ++i) co_await enter_once();
    EXPECT_TRUE(all_blocks_home());
    EXPECT_EQ(Loop::current().stats().tasks, 1u);
  }, with_blocks(16, 64));
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace weir
