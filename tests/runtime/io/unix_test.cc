#include "weir/runtime/io/unix.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "weir/runtime.h"
#include "weir/tests/testing/child_process.h"
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
    co_await exchange(address);
    const auto nobody = co_await UnixStream::connect(address);
    EXPECT_EQ(nobody.status().message(), "connect " + address.to_string() + ": No such file or directory");
  });
  EXPECT_EQ(open_descriptors(), before);
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

TEST(Unix, ThePathGoesWithTheListenerThatMadeIt) {
  const TemporaryFolder folder("/tmp");
  const std::string path = folder.file("s");
  const SocketAddress address = *SocketAddress::parse("unix:" + path);
  on_loop([&]() -> Task<> {
    {
      UnixListener closed = UnixListener::bind(address).value();
      EXPECT_TRUE(exists(path));
      EXPECT_EQ(status_errno(UnixListener::bind(address).status()), EADDRINUSE);
      EXPECT_TRUE(exists(path));  // the second one has not made it
      auto waiting = spawn(closed.accept());
      co_await yield();
      EXPECT_TRUE((co_await closed.close()).ok());
      EXPECT_FALSE(exists(path));
      EXPECT_TRUE(absl::IsCancelled((co_await std::move(waiting)).status()));
    }
    {
      const UnixListener dropped = UnixListener::bind(address).value();
      EXPECT_TRUE(exists(path));
    }
    EXPECT_FALSE(exists(path));
  });
}

TEST(Unix, ThePathStaysWhenItIsAnothersByThen) {
  const TemporaryFolder folder("/tmp");
  const std::string path = folder.file("s");
  const SocketAddress address = *SocketAddress::parse("unix:" + path);
  on_loop([&]() -> Task<> {
    UnixListener old_one = UnixListener::bind(address).value();
    EXPECT_EQ(::unlink(path.c_str()), 0);
    UnixListener new_one = UnixListener::bind(address).value();
    EXPECT_TRUE((co_await old_one.close()).ok());
    EXPECT_TRUE(exists(path));
    EXPECT_TRUE((co_await new_one.close()).ok());
    EXPECT_FALSE(exists(path));

    UnixListener lent = UnixListener::bind(address).value();
    const int fd = lent.release();
    EXPECT_TRUE(exists(path));
    { const UnixListener adopted = UnixListener::from_fd(fd); }
    EXPECT_TRUE(exists(path));
    EXPECT_EQ(::unlink(path.c_str()), 0);

    UnixListener parents = UnixListener::bind(address).value();
    EXPECT_EQ(exit_status_of([&parents] {
                const UnixListener copy(std::move(parents));
                return 0;
              }),
              0);
    EXPECT_TRUE(exists(path));
  });
  EXPECT_FALSE(exists(path));
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
