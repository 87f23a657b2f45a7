#include "weir/runtime/io/unix.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "weir/runtime.h"
#include "weir/tests/testing/io.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

Task<> exchange(SocketAddress address) {
  UnixListener listener = UnixListener::bind(address).value();
  EXPECT_EQ(listener.local_address(), address);
  auto accepting = spawn(listener.accept());
  UnixStream client = (co_await UnixStream::connect(address)).value();
  UnixStream server = (co_await std::move(accepting)).value();
  EXPECT_EQ(client.peer_address(), address);
  EXPECT_EQ(server.peer_address().to_string(), "unix:");  // the nameless end
  EXPECT_TRUE((co_await client.write_all(as_bytes("hello"))).ok());
  std::string text(5, '\0');
  EXPECT_TRUE((co_await server.read_exact(writable_bytes(text))).ok());
  EXPECT_EQ(text, "hello");
  EXPECT_TRUE((co_await client.close()).ok());
  EXPECT_EQ((co_await server.read(writable_bytes(text))).value(), 0u);
  const absl::Status gone = co_await server.write_all(as_bytes("x"));
  EXPECT_EQ(status_errno(gone), EPIPE) << gone;
}

TEST(Unix, ConnectsByPath) {
  const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
  const int before = open_descriptors();
  const SocketAddress address = *SocketAddress::parse("unix:" + folder.file("s"));
  on_loop([&]() -> Task<> {
    co_await exchange(address);
    EXPECT_EQ(status_errno(UnixListener::bind(address).status()), EADDRINUSE);  // the path stays
    EXPECT_EQ(::unlink(folder.file("s").c_str()), 0);
    co_await exchange(address);
    const auto refused = co_await UnixStream::connect(address);
    EXPECT_EQ(refused.status().message(), "connect " + address.to_string() + ": Connection refused");
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Unix, ConnectsByAbstractName) {
  const SocketAddress address = *SocketAddress::parse("unix:@weir-unix-test-" + std::to_string(getpid()));
  on_loop([&]() -> Task<> {
    co_await exchange(address);
    co_await exchange(address);
  });
}

}  // namespace
}  // namespace weir
