// accept() and connect() cancelled at every point: before they start, before they are submitted, in flight, at the moment of
// completion, after it. A connection that came in spite of the cancel is returned or still waits in the backlog; no
// descriptor is lost.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/io/unix.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using testing::loopback;
using testing::open_descriptors;
using testing::random_pause;
using testing::storm;

// Closed with a reset: thousands of connections must not leave their ports behind.
void reset_at_close(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
}

// The other side of an accept(): a blocking socket, which the kernel connects at once.
class Client {
 public:
  explicit Client(const SocketAddress& address) : fd_(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    EXPECT_GE(fd_, 0);
    EXPECT_EQ(::connect(fd_, address.data(), address.size()), 0);
    reset_at_close(fd_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(fd_); }
  int fd() const { return fd_; }
  void send() { EXPECT_EQ(::write(fd_, "x", 1), 1); }

 private:
  const int fd_;
};

struct Counts {
  uint64_t cancelled = 0;
  uint64_t finished = 0;
};

template <class Listener, class Stream>
class Racer {
 public:
  Racer(uint64_t seed, Listener listener) : random_(static_cast<std::mt19937::result_type>(seed)), listener_(std::move(listener)) {}

  Task<> race(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      if (random_() % 2 == 0) {
        co_await race_accept();
      } else {
        co_await race_connect();
      }
    }
  }

  Counts accepts, connects;

 private:
  Task<> race_accept() {
    auto task = spawn(listener_.accept());
    co_await random_pause(random_);
    std::optional<Client> client;
    if (random_() % 4 != 0) client.emplace(listener_.local_address());
    co_await random_pause(random_);
    task.cancel();
    std::optional<Stream> server;
    try {
      absl::StatusOr<Stream> accepted = co_await std::move(task);
      EXPECT_TRUE(accepted.ok()) << accepted.status();
      if (accepted.ok()) server.emplace(*std::move(accepted));
      ++accepts.finished;
    } catch (const Cancelled&) {
      if (internal::Root::current().interrupted()) throw;
      ++accepts.cancelled;
    }
    if (!client) {
      EXPECT_TRUE(!server || !is_connected_at_once());
      co_return;
    }
    co_await find_peer(client->fd(), server);  // if it was not accepted it waits in the backlog
    if (!server) co_return;
    client->send();
    co_await expect_byte(*server);
  }

  Task<> race_connect() {
    auto task = spawn(Stream::connect(listener_.local_address()));
    co_await random_pause(random_);
    task.cancel();
    try {
      absl::StatusOr<Stream> client = co_await std::move(task);
      EXPECT_TRUE(client.ok()) << client.status();
      ++connects.finished;
      if (!client.ok()) co_return;
      reset_at_close(client->fd());
      std::optional<Stream> server;
      co_await find_peer(client->fd(), server);
      const absl::Status sent = co_await client->write_all(as_bytes("x"));
      EXPECT_TRUE(sent.ok()) << sent;
      if (server) co_await expect_byte(*server);
      co_return;
    } catch (const Cancelled&) {
      if (internal::Root::current().interrupted()) throw;
      ++connects.cancelled;
    }
    // It may have been connected all the same: then the listener has one without anybody at its other end.
    for (pollfd ready{.fd = listener_.fd(), .events = POLLIN, .revents = 0}; ::poll(&ready, 1, 0) == 1;) {
      const absl::StatusOr<Stream> orphan = co_await listener_.accept();
      EXPECT_TRUE(orphan.ok()) << orphan.status();
      if (orphan.ok()) reset_at_close(orphan->fd());
    }
  }

  // Over TCP the connection of a connect() that was cancelled may come to the listener later; otherwise it is there, or
  // will never be.
  bool is_connected_at_once() const { return listener_.local_address().family() == AF_UNIX; }

  // Accepts until `server` is the other end of `client`.
  Task<> find_peer(int client, std::optional<Stream>& server) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    EXPECT_EQ(::getsockname(client, reinterpret_cast<sockaddr*>(&storage), &size), 0);
    const SocketAddress address = SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), size).value();
    while (!server || (!is_connected_at_once() && server->peer_address() != address)) {
      absl::StatusOr<Stream> next = co_await listener_.accept();
      EXPECT_TRUE(next.ok()) << next.status();
      server.reset();
      if (!next.ok()) co_return;
      server.emplace(*std::move(next));
    }
  }

  Task<> expect_byte(Stream& server) {
    std::string byte(1, '\0');
    const absl::Status status = co_await server.read_exact(writable_bytes(byte));
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(byte, "x");
  }

  std::mt19937 random_;
  Listener listener_;
};

uint64_t seed() {
  const char* const given = std::getenv("WEIR_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

template <class Listener, class Stream, class Bind>
void race_all(int rounds, Bind bind) {
  const uint64_t first_seed = seed();
  std::cout << "WEIR_SEED=" << first_seed << "\n";
  constexpr int kRacers = 8;
  const int descriptors = open_descriptors();
  Counts accepts, connects;
  for (unsigned entries : {64u, 4u}) {
    auto loop = Loop::create({.sq_entries = entries, .cq_entries = 4 * entries});
    ASSERT_TRUE(loop.ok()) << loop.status();
    std::vector<std::unique_ptr<Racer<Listener, Stream>>> racers;
    for (uint64_t i = 0; i < kRacers; ++i) racers.push_back(std::make_unique<Racer<Listener, Stream>>(first_seed + i + entries, bind(i)));
    const auto all = [&]() -> Task<> {
      TaskGroup group;
      for (auto& racer : racers) group.spawn(racer->race(rounds / kRacers / 2 + 1));
      co_await group.join();
    };
    (*loop)->run(all());
    for (const auto& racer : racers) {
      accepts.cancelled += racer->accepts.cancelled;
      accepts.finished += racer->accepts.finished;
      connects.cancelled += racer->connects.cancelled;
      connects.finished += racer->connects.finished;
    }
    EXPECT_LE((*loop)->stats().operations, 1u);  // the wake-up
    racers.clear();
    loop->reset();
    EXPECT_EQ(open_descriptors(), descriptors);
  }
  std::cout << "accept: " << accepts.cancelled << " cancelled, " << accepts.finished << " finished; connect: "
            << connects.cancelled << " cancelled, " << connects.finished << " finished\n";
}

TEST(SocketStorm, AcceptAndConnectByName) {
  race_all<UnixListener, UnixStream>(storm(180'000), [](uint64_t number) {
    const std::string name = "unix:@weir-storm-" + std::to_string(::getpid()) + "-" + std::to_string(number);
    return UnixListener::bind(*SocketAddress::parse(name)).value();
  });
}

// Fewer: each that is cancelled late leaves its port waiting for a minute.
TEST(SocketStorm, AcceptAndConnectOverTcp) {
  race_all<TcpListener, TcpStream>(storm(20'000), [](uint64_t) { return TcpListener::bind(loopback()).value(); });
}

}  // namespace
}  // namespace weir
