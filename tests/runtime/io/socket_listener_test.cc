#include "weir/runtime/io/socket_listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

TEST(SocketListener, ServesSeveralWhoWait) {
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    std::vector<JoinHandle<absl::StatusOr<TcpStream>>> accepts;
    for (int i = 0; i < 3; ++i) accepts.push_back(spawn(listener.accept()));
    std::vector<TcpStream> clients;
    for (int i = 0; i < 3; ++i) clients.push_back((co_await TcpStream::connect(listener.local_address())).value());
    std::vector<uint16_t> ports;
    for (auto& accept : accepts) {
      const TcpStream stream = (co_await std::move(accept)).value();
      EXPECT_EQ(stream.local_address(), listener.local_address());
      EXPECT_TRUE(fcntl(stream.fd(), F_GETFD) & FD_CLOEXEC);
      ports.push_back(stream.peer_address().port());
    }
    for (const TcpStream& client : clients) EXPECT_EQ(std::count(ports.begin(), ports.end(), client.local_address().port()), 1);
  });
}

TEST(SocketListener, TakesNothingThatNobodyWaitsFor) {
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    const int before = open_descriptors();
    auto accepting = spawn(listener.accept());
    co_await enter_once();
    accepting.cancel();
    EXPECT_THROW((void)co_await accepting, Cancelled);
    const TcpStream client = (co_await TcpStream::connect(listener.local_address())).value();
    co_await enter_once();
    EXPECT_EQ(open_descriptors(), before + 1);  // the client's own
    const TcpStream server = (co_await listener.accept()).value();
    EXPECT_EQ(server.peer_address(), client.local_address());
  });
}

TEST(SocketListener, ClosingItCancelsAccept) {
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    const SocketAddress address = listener.local_address();
    auto accepting = spawn(listener.accept());
    co_await enter_once();
    EXPECT_TRUE((co_await listener.close()).ok());
    EXPECT_TRUE((co_await listener.close()).ok());
    const auto none = co_await std::move(accepting);
    EXPECT_EQ(none.status().code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(none.status().message(), "accept " + address.to_string() + ": Operation canceled");
    EXPECT_THROW((void)listener.accept(), std::logic_error);
  });
}

// Uses up what this process may open, until the end of the scope.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);  // the lowest number that is free
    close(next);
    rlimit tight = before_;
    tight.rlim_cur = static_cast<rlim_t>(next);
    setrlimit(RLIMIT_NOFILE, &tight);
  }
  NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
  NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;
  ~NoDescriptorsLeft() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WEIR_SANITIZED 1
#endif
#endif

TEST(SocketListener, SaysThatNoDescriptorsAreLeft) {
#ifdef WEIR_SANITIZED
  GTEST_SKIP() << "a sanitizer opens descriptors of its own, and takes their lack for a defect";
#endif
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    const TcpStream client = (co_await TcpStream::connect(listener.local_address())).value();
    {
      const NoDescriptorsLeft tight;
      const auto none = co_await listener.accept();
      EXPECT_EQ(status_errno(none.status()), EMFILE) << none.status();
      const auto no_socket = co_await TcpStream::connect(listener.local_address());
      EXPECT_EQ(status_errno(no_socket.status()), EMFILE) << no_socket.status();
    }
    const TcpStream server = (co_await listener.accept()).value();  // it waited in the backlog
    EXPECT_EQ(server.peer_address(), client.local_address());
  });
}

TEST(SocketListener, FromAndToADescriptor) {
  on_loop([]() -> Task<> {
    TcpListener first = TcpListener::bind(loopback()).value();
    const SocketAddress address = first.local_address();
    const int fd = first.release();
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    TcpListener listener = TcpListener::from_fd(fd);
    EXPECT_EQ(listener.local_address(), address);
    auto accepting = spawn(listener.accept());
    co_await enter_once();
    EXPECT_FALSE(accepting.done());
    EXPECT_TRUE((co_await TcpStream::connect(address)).ok());
    EXPECT_TRUE((co_await accepting).ok());
  });
}

}  // namespace
}  // namespace weir
