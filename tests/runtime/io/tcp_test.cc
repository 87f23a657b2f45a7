#include "weir/runtime/io/tcp.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "weir/runtime.h"
#include "weir/tests/testing/io.h"

namespace weir {
namespace {

using testing::loopback;
using testing::on_loop;
using testing::open_descriptors;

TEST(Tcp, BindsWithoutALoop) {
  auto listener = TcpListener::bind(loopback());
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_NE(listener->local_address().port(), 0);
  EXPECT_GE(listener->fd(), 0);

  auto second = TcpListener::bind(listener->local_address());
  EXPECT_EQ(status_errno(second.status()), EADDRINUSE);
  EXPECT_EQ(second.status().message(), "bind " + listener->local_address().to_string() + ": Address already in use");
}

TEST(Tcp, ConnectSaysWhoRefuses) {
  // Bound, but not listening: nobody else can have this port.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const SocketAddress any = loopback();
  ASSERT_EQ(bind(fd, any.data(), any.size()), 0);
  const SocketAddress address = TcpListener::from_fd(dup(fd)).local_address();
  on_loop([&]() -> Task<> {
    const auto refused = co_await TcpStream::connect(address);
    EXPECT_EQ(refused.status().message(), "connect " + address.to_string() + ": Connection refused");
    EXPECT_EQ(status_errno(refused.status()), ECONNREFUSED);
  });
  close(fd);
}

Task<> echo_once(TcpListener& listener) {
  auto stream = co_await listener.accept();
  EXPECT_TRUE(stream.ok()) << stream.status();
  if (!stream.ok()) co_return;
  std::string text(100, '\0');
  for (;;) {
    const auto count = co_await stream->read(writable_bytes(text));
    EXPECT_TRUE(count.ok()) << count.status();
    if (!count.ok() || *count == 0) break;
    EXPECT_TRUE((co_await stream->write_all(as_bytes(std::string_view(text).substr(0, *count)))).ok());
  }
  EXPECT_TRUE((co_await stream->close()).ok());
}

TEST(Tcp, Echoes) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    auto listener = TcpListener::bind(loopback());
    auto server = spawn(echo_once(*listener));
    auto stream = co_await TcpStream::connect(listener->local_address());
    EXPECT_TRUE(stream.ok()) << stream.status();
    EXPECT_EQ(stream->peer_address(), listener->local_address());
    EXPECT_NE(stream->local_address().port(), 0);
    EXPECT_TRUE((co_await stream->set_no_delay()).ok());
    EXPECT_TRUE((co_await stream->write_all(as_bytes("hello"))).ok());
    std::string answer(5, '\0');
    EXPECT_TRUE((co_await stream->read_exact(writable_bytes(answer))).ok());
    EXPECT_EQ(answer, "hello");
    EXPECT_TRUE((co_await stream->shutdown()).ok());
    const auto end = co_await stream->read(writable_bytes(answer));
    EXPECT_EQ(end.value(), 0u);
    co_await server;
    auto late = stream->set_no_delay();
    EXPECT_TRUE((co_await stream->close()).ok());
    EXPECT_EQ((co_await std::move(late)).code(), absl::StatusCode::kCancelled);
    EXPECT_TRUE((co_await stream->close()).ok());
    EXPECT_EQ(stream->fd(), -1);
  });
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace weir
