// The multishot accept behind serve(), on a scripted kernel and a real one.
#include "weir/runtime/io/accept_source.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/frame.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/scripted_loop.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using testing::enter_once;
using testing::loopback;
using testing::on_loop;
using testing::open_descriptors;
using testing::operate;
using testing::ScriptedLoop;
using testing::ScriptedRing;
using tests::settle;

int a_socket() { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

internal::AcceptSource source_of(TcpListener& listener) { return internal::ServeAccess::source(listener); }

Task<int> next_of(internal::AcceptSource& source) {
  absl::StatusOr<internal::OwnedDescriptor> connection = co_await source.next();
  co_return connection.ok() ? 0 : status_errno(connection.status());
}

bool is_multishot(const io_uring_sqe& entry) { return (entry.ioprio & IORING_ACCEPT_MULTISHOT) != 0; }

TEST(AcceptSource, OneRequestForManyConnections) {
  const int before = open_descriptors();
  {
    ScriptedLoop scripted;
    TcpListener listener = TcpListener::bind(loopback()).value();
    scripted.ring.by_hand = {IORING_OP_ACCEPT};
    int to_come = 5;
    scripted.ring.on_enter = [&](ScriptedRing& ring, bool) {
      for (; to_come > 0; --to_come) {
        const io_uring_sqe* const accept = ring.find(IORING_OP_ACCEPT);
        if (accept == nullptr) return;
        EXPECT_TRUE(is_multishot(*accept));
        EXPECT_EQ(accept->accept_flags, static_cast<unsigned>(SOCK_CLOEXEC));
        ring.complete(*accept, a_socket(), IORING_CQE_F_MORE);
      }
    };
    auto accept_two = [&]() -> Task<> {
      internal::AcceptSource source = source_of(listener);
      EXPECT_EQ(co_await next_of(source), 0);
      EXPECT_EQ(co_await next_of(source), 0);
      EXPECT_EQ(scripted.ring.seen_count(IORING_OP_ACCEPT), 1u);
      co_await source.close();  // three that nobody has taken are closed
      EXPECT_EQ(scripted.ring.count(IORING_OP_ACCEPT), 0u);
    };
    scripted->run(accept_two());
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(AcceptSource, OneThatTheKernelEndsIsMadeAgain) {
  ScriptedLoop scripted;
  TcpListener listener = TcpListener::bind(loopback()).value();
  scripted.ring.by_hand = {IORING_OP_ACCEPT};
  std::vector<int> results = {-ECANCELED, -ECONNABORTED, -EMFILE, a_socket(), -EBADF};
  scripted.ring.on_enter = [&](ScriptedRing& ring, bool) {
    const io_uring_sqe* const accept = ring.find(IORING_OP_ACCEPT);
    if (accept == nullptr || results.empty()) return;
    ring.complete(*accept, results.front());
    results.erase(results.begin());
  };
  auto accept = [&]() -> Task<> {
    internal::AcceptSource source = source_of(listener);
    EXPECT_EQ(co_await next_of(source), EMFILE);
    EXPECT_EQ(co_await next_of(source), 0);
    EXPECT_EQ(co_await next_of(source), EBADF);
    EXPECT_EQ(scripted.ring.seen_count(IORING_OP_ACCEPT), 5u);
    co_await source.close();
  };
  scripted->run(accept());
}

TEST(AcceptSource, BeforeLinux519EachIsARequestOfItsOwn) {
  ScriptedLoop scripted;
  TcpListener listener = TcpListener::bind(loopback()).value();
  scripted.ring.by_hand = {IORING_OP_ACCEPT};
  scripted.ring.on_enter = [&](ScriptedRing& ring, bool) {
    const io_uring_sqe* const accept = ring.find(IORING_OP_ACCEPT);
    if (accept != nullptr) ring.complete(*accept, is_multishot(*accept) ? -EINVAL : a_socket());
  };
  auto accept = [&]() -> Task<> {
    internal::AcceptSource source = source_of(listener);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(co_await next_of(source), 0);
    EXPECT_EQ(scripted.ring.seen_count(IORING_OP_ACCEPT), 4u);
    co_await source.close();
  };
  scripted->run(accept());
}

TEST(AcceptSource, ACancelLosesNoConnection) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    internal::AcceptSource source = source_of(listener);
    auto waiting = spawn(next_of(source));
    co_await enter_once();
    waiting.cancel();
    EXPECT_THROW((void)co_await waiting, Cancelled);
    TcpStream first = (co_await TcpStream::connect(listener.local_address())).value();
    TcpStream second = (co_await TcpStream::connect(listener.local_address())).value();
    EXPECT_EQ(co_await next_of(source), 0);
    EXPECT_EQ(co_await next_of(source), 0);
    EXPECT_TRUE((co_await listener.close()).ok());
    EXPECT_EQ(co_await next_of(source), ECANCELED);
    co_await source.close();
    co_await source.close();
  });
  EXPECT_EQ(open_descriptors(), before);
}

// No descriptor is left: serve() pauses instead of asking again and again, and goes on when there are some.
TEST(AcceptSource, ServeSurvivesEmfile) {
  if (WEIR_RECYCLE_FRAMES == 0) GTEST_SKIP() << "sanitizers need descriptors themselves";
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    int served = 0;
    auto count = [&served](TcpStream) -> Task<> {
      ++served;
      co_return;
    };
    auto serving = spawn(serve(listener, count));
    const int client = a_socket();
    const SocketAddress address = listener.local_address();
    rlimit limit;
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const int next = dup(client);  // the lowest number that is free
    close(next);
    const rlimit none{static_cast<rlim_t>(next), limit.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_EQ(connect(client, address.data(), address.size()), 0);  // into the backlog
    const uint64_t turns = Loop::current().stats().turns;
    co_await sleep_for(absl::Milliseconds(100));
    EXPECT_EQ(served, 0);
    EXPECT_LT(Loop::current().stats().turns - turns, 100u);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (served == 0) co_await sleep_for(absl::Milliseconds(1));
    serving.cancel();
    EXPECT_THROW((void)co_await serving, Cancelled);
    close(client);
  });
}

}  // namespace
}  // namespace weir
