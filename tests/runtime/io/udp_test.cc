#include "weir/runtime/io/udp.h"

#include <gtest/gtest.h>

#include <string>

#include "weir/runtime.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

TEST(Udp, SendsAndReceives) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    UdpSocket first = UdpSocket::bind(loopback()).value();
    UdpSocket second = UdpSocket::bind(loopback()).value();
    std::string text(16, '\0');
    auto receiving = spawn(second.receive_from(writable_bytes(text)));
    co_await enter_once();
    EXPECT_TRUE((co_await first.send_to(as_bytes("hello"), second.local_address())).ok());
    const Datagram datagram = (co_await receiving).value();
    EXPECT_EQ(datagram.size, 5u);
    EXPECT_FALSE(datagram.truncated);
    EXPECT_EQ(datagram.from, first.local_address());
    EXPECT_EQ(text.substr(0, 5), "hello");

    EXPECT_TRUE((co_await first.send_to(as_bytes(""), second.local_address())).ok());
    EXPECT_EQ((co_await second.receive_from(writable_bytes(text))).value().size, 0u);
    EXPECT_TRUE((co_await first.send_to(as_bytes(std::string(17, 'x')), second.local_address())).ok());
    const Datagram cut = (co_await second.receive_from(writable_bytes(text))).value();
    EXPECT_TRUE(cut.truncated);
    EXPECT_EQ(cut.size, 16u);
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Udp, SaysWhatIsWrong) {
  on_loop([]() -> Task<> {
    UdpSocket socket = UdpSocket::bind(loopback()).value();
    const SocketAddress to = socket.local_address();
    const std::string much(70'000, 'x');
    const absl::Status status = co_await socket.send_to(as_bytes(much), to);
    EXPECT_EQ(status.message(), "send_to " + to.to_string() + ": Message too long");
    EXPECT_EQ(status_errno(UdpSocket::bind(to).status()), EADDRINUSE);
  });
}

TEST(Udp, ClosingAndCancellingEndAReceive) {
  on_loop([]() -> Task<> {
    UdpSocket socket = UdpSocket::bind(loopback()).value();
    std::string text(16, '\0');
    auto receiving = spawn(socket.receive_from(writable_bytes(text)));
    co_await enter_once();
    receiving.cancel();
    EXPECT_THROW((void)co_await receiving, Cancelled);
    auto again = spawn(socket.receive_from(writable_bytes(text)));
    co_await enter_once();
    EXPECT_TRUE((co_await socket.close()).ok());
    EXPECT_EQ((co_await again).status().code(), absl::StatusCode::kCancelled);
    EXPECT_THROW((void)socket.local_address(), std::logic_error);
  });
}

}  // namespace
}  // namespace weir
