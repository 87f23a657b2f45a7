#include "weir/runtime/io/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <random>
#include <string>
#include <unordered_set>


namespace weir {
namespace {

constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);

SocketAddress parsed(const std::string& text) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::parse(text);
  EXPECT_TRUE(address.ok()) << text << ": " << address.status();
  return address.ok() ? *address : SocketAddress();
}

TEST(SocketAddressTest, Ipv4) {
  const SocketAddress address = parsed("127.0.0.1:8080");
  EXPECT_EQ(address.family(), AF_INET);
  EXPECT_EQ(address.port(), 8080);
  ASSERT_EQ(address.size(), sizeof(sockaddr_in));
  const auto* raw = reinterpret_cast<const sockaddr_in*>(address.data());
  EXPECT_EQ(raw->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_EQ(raw->sin_port, htons(8080));
}

TEST(SocketAddressTest, Ipv6) {
  const SocketAddress address = parsed("[::1]:80");
  EXPECT_EQ(address.family(), AF_INET6);
  EXPECT_EQ(address.port(), 80);
  ASSERT_EQ(address.size(), sizeof(sockaddr_in6));
  const auto* raw = reinterpret_cast<const sockaddr_in6*>(address.data());
  EXPECT_EQ(std::memcmp(&raw->sin6_addr, &in6addr_loopback, sizeof(in6_addr)), 0);
  EXPECT_EQ(raw->sin6_scope_id, 0u);
}

TEST(SocketAddressTest, Ipv6Scope) {
  const unsigned loopback = if_nametoindex("lo");
  if (loopback == 0) GTEST_SKIP() << "no interface lo here";
  const SocketAddress by_name = parsed("[fe80::1%lo]:80");
  EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(by_name.data())->sin6_scope_id, loopback);
  const std::string text = "[fe80::1%" + std::to_string(loopback) + "]:80";
  EXPECT_EQ(by_name, parsed(text));
  EXPECT_EQ(by_name.to_string(), text);
  EXPECT_NE(by_name, parsed("[fe80::1]:80"));
}

TEST(SocketAddressTest, UnixPath) {
  const SocketAddress address = parsed("unix:/run/weir.sock");
  EXPECT_EQ(address.family(), AF_UNIX);
  EXPECT_EQ(address.port(), 0);
  EXPECT_EQ(address.size(), kPathOffset + std::strlen("/run/weir.sock") + 1);
  EXPECT_STREQ(reinterpret_cast<const sockaddr_un*>(address.data())->sun_path, "/run/weir.sock");
}

TEST(SocketAddressTest, UnixAbstract) {
  const SocketAddress address = parsed("unix:@weir");
  ASSERT_EQ(address.size(), kPathOffset + 5);
  const auto* raw = reinterpret_cast<const sockaddr_un*>(address.data());
  EXPECT_EQ(std::string(raw->sun_path, 5), std::string("\0weir", 5));
  const std::string with_zero("unix:@a\0b", 9);
  EXPECT_EQ(parsed(with_zero).to_string(), with_zero);
}

TEST(SocketAddressTest, ToStringIsWhatWasParsed) {
  for (const char* text :
       {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::]:0", "[::1]:65535",
        "[2001:db8::8:800:200c:417a]:443", "[::ffff:192.0.2.1]:1", "[fe80::1%1]:80", "[fe80::1%4294967295]:80",
        "unix:/tmp/a b:c.sock", "unix:relative", "unix:@abstract", "unix:[::1]:80", "unix:unix:/x"}) {
    EXPECT_EQ(parsed(text).to_string(), text);
    EXPECT_EQ(parsed(parsed(text).to_string()), parsed(text));
  }
  EXPECT_EQ(parsed("[0:0:0:0:0:0:0:1]:080").to_string(), "[::1]:80");
}

TEST(SocketAddressTest, RandomAddressesRoundTrip) {
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = static_cast<in_port_t>(random());
    // Many zeros, so that the short forms come up.
    for (unsigned char& byte : six.sin6_addr.s6_addr) {
      byte = random() % 2 == 0 ? 0 : static_cast<unsigned char>(random());
    }
    six.sin6_scope_id = random() % 2 == 0 ? 0 : static_cast<uint32_t>(random());
    const auto made = SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&six), sizeof(six));
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(parsed(made->to_string()), *made) << made->to_string();
  }
}

TEST(SocketAddressTest, ErrorsNameTheInputAndTheMistake) {
  const std::string long_path = "unix:/" + std::string(107, 'x');
  const std::string long_name = "unix:@" + std::string(108, 'x');
  const struct {
    std::string text;
    const char* mistake;
  } cases[] = {
      {"", "empty"},
      {"127.0.0.1", "no :port"},
      {"127.0.0.1:", "port"},
      {"127.0.0.1:65536", "0 to 65535"},
      {"127.0.0.1:99999999999999999999", "0 to 65535"},
      {"127.0.0.1:-1", "0 to 65535"},
      {"127.0.0.1:+1", "0 to 65535"},
      {"127.0.0.1: 80", "0 to 65535"},
      {"127.0.0.1:80x", "0 to 65535"},
      {":80", "IPv4"},
      {"localhost:80", "resolve"},
      {"127.0.0:80", "IPv4"},
      {"256.0.0.1:80", "IPv4"},
      {" 127.0.0.1:80", "IPv4"},
      {"::1:80", "brackets"},
      {"1.2.3.4:5:6", "brackets"},
      {"[::1]", "port"},
      {"[::1]80", "port"},
      {"[::1]:", "port"},
      {"[::1:80", "closed"},
      {"[]:80", "IPv6"},
      {"[127.0.0.1]:80", "IPv6"},
      {"[fe80::1%]:80", "scope"},
      {"[fe80::1%0]:80", "scope"},
      {"[fe80::1%no-such-if]:80", "scope"},
      {"unix:", "no path"},
      {"unix:@", "no name"},
      {long_path, "longer"},
      {long_name, "longer"},
      {std::string("unix:/a\0b", 9), "zero byte"},
      {std::string("127.0.0.1\0:80", 13), "zero byte"},
  };
  for (const auto& [text, mistake] : cases) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::parse(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message(address.status().message());
    EXPECT_NE(message.find(mistake), std::string::npos) << message;
    EXPECT_NE(message.find(text.substr(0, text.find('\0'))), std::string::npos) << message;
  }
}

TEST(SocketAddressTest, TheLongestUnixAddresses) {
  const std::string path = "unix:/" + std::string(106, 'x');
  EXPECT_EQ(parsed(path).to_string(), path);
  EXPECT_EQ(parsed(path).size(), sizeof(sockaddr_un));
  const std::string name = "unix:@" + std::string(107, 'x');
  EXPECT_EQ(parsed(name).to_string(), name);
  EXPECT_EQ(parsed(name).size(), sizeof(sockaddr_un));
}

TEST(SocketAddressTest, FromSockaddrIgnoresWhatDoesNotCount) {
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(80);
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::memset(four.sin_zero, 7, sizeof(four.sin_zero));
  EXPECT_EQ(*SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&four), sizeof(four)), parsed("127.0.0.1:80"));

  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  std::strcpy(local.sun_path, "/x");
  const SocketAddress expected = parsed("unix:/x");
  const auto* raw = reinterpret_cast<sockaddr*>(&local);
  EXPECT_EQ(*SocketAddress::from_sockaddr(raw, kPathOffset + 2), expected);
  EXPECT_EQ(*SocketAddress::from_sockaddr(raw, kPathOffset + 3), expected);
  local.sun_path[5] = 'y';
  EXPECT_EQ(*SocketAddress::from_sockaddr(raw, sizeof(local)), expected);
}

TEST(SocketAddressTest, FromSockaddrOfUnixCorners) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  const auto* raw = reinterpret_cast<sockaddr*>(&local);
  EXPECT_EQ(SocketAddress::from_sockaddr(raw, kPathOffset)->to_string(), "unix:");
  std::memset(local.sun_path, 'x', sizeof(local.sun_path));
  const SocketAddress full = *SocketAddress::from_sockaddr(raw, sizeof(local));
  EXPECT_EQ(full.to_string(), "unix:" + std::string(108, 'x'));
  EXPECT_EQ(full.size(), sizeof(local));
  EXPECT_EQ(*SocketAddress::from_sockaddr(raw, sizeof(local) + 1), full);
  std::strcpy(local.sun_path, "@x");
  const SocketAddress at = *SocketAddress::from_sockaddr(raw, kPathOffset + 3);
  EXPECT_EQ(at.to_string(), "unix:./@x");
  EXPECT_TRUE(SocketAddress::parse(at.to_string()).ok());
}

TEST(SocketAddressTest, FromSockaddrRefusesOthers) {
  sockaddr_storage other{};
  const auto* raw = reinterpret_cast<sockaddr*>(&other);
  EXPECT_FALSE(SocketAddress::from_sockaddr(raw, 0).ok());
  EXPECT_FALSE(SocketAddress::from_sockaddr(raw, 1).ok());
  EXPECT_FALSE(SocketAddress::from_sockaddr(raw, sizeof(other)).ok());
  other.ss_family = AF_NETLINK;
  EXPECT_FALSE(SocketAddress::from_sockaddr(raw, sizeof(other)).ok());
  other.ss_family = AF_INET;
  EXPECT_FALSE(SocketAddress::from_sockaddr(raw, sizeof(sockaddr_in) - 1).ok());
  other.ss_family = AF_INET6;
  EXPECT_FALSE(SocketAddress::from_sockaddr(raw, sizeof(sockaddr_in6) - 1).ok());
  other.ss_family = AF_UNIX;
  EXPECT_FALSE(SocketAddress::from_sockaddr(raw, sizeof(other)).ok());
}

TEST(SocketAddressTest, WhatTheKernelSaysAfterBind) {
  for (const std::string& text : {std::string("127.0.0.1:0"), "unix:@weir-address-test-" + std::to_string(getpid())}) {
    const SocketAddress wanted = parsed(text);
    const int fd = socket(wanted.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(bind(fd, wanted.data(), wanted.size()), 0) << std::strerror(errno);
    sockaddr_storage raw;
    socklen_t size = sizeof(raw);
    ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &size), 0);
    const auto bound = SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size);
    ASSERT_TRUE(bound.ok()) << bound.status();
    if (wanted.family() == AF_UNIX) {
      EXPECT_EQ(*bound, wanted);
    } else {
      EXPECT_NE(bound->port(), 0);
    }
    close(fd);
  }
}

TEST(SocketAddressTest, NoAddress) {
  const SocketAddress none;
  EXPECT_EQ(none.family(), AF_UNSPEC);
  EXPECT_EQ(none.size(), 0u);
  EXPECT_EQ(none.port(), 0);
  EXPECT_EQ(none.to_string(), "unspecified");
  EXPECT_EQ(none, SocketAddress());
  EXPECT_NE(none, parsed("0.0.0.0:0"));
}

TEST(SocketAddressTest, EqualityAndHash) {
  std::unordered_set<SocketAddress> set;
  for (const char* text : {"127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:80", "[::1]:80", "[::1%1]:80", "unix:/a",
                           "unix:@a", "unix:/ab", "127.0.0.1:80", "[0::1]:80", "unix:/a"}) {
    set.insert(parsed(text));
  }
  EXPECT_EQ(set.size(), 8u);
  EXPECT_EQ(set.count(parsed("unix:@a")), 1u);
  EXPECT_EQ(set.count(parsed("unix:@b")), 0u);
}

}  // namespace
}  // namespace weir
