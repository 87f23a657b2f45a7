// Where a socket is bound or connected: an IPv4, IPv6 or Unix address.
//
//   absl::StatusOr<SocketAddress> address = SocketAddress::parse("127.0.0.1:80");
//   "[::1]:80"   "[fe80::1%eth0]:80"   "unix:/run/x.sock"   "unix:@abstract"
//
// Names of hosts are not looked up here: that blocks, and is resolve()'s in bridge/net.h.
// Threads: a value; any. Cost: nothing is allocated but strings; only a scope that is a name (%eth0) asks the kernel.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace weir {

class SocketAddress final {
 public:
  // No address: family AF_UNSPEC, size 0.
  SocketAddress() = default;

  // kInvalidArgument, naming the text and what is wrong with it.
  static absl::StatusOr<SocketAddress> parse(std::string_view text);

  // From what the kernel or another library filled in, `size` bytes at `address`; kInvalidArgument when that is not an
  // address of a family above. The flow label of IPv6 is dropped.
  static absl::StatusOr<SocketAddress> from_sockaddr(const sockaddr* address, size_t size);

  // AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC without an address.
  int family() const { return storage_.ss_family; }

  // In host order; 0 for a Unix address.
  uint16_t port() const;

  // What parse() makes this address of again, a scope as its number. A relative path "@x" is given as "./@x", since
  // "unix:@x" is abstract. Two are no input of parse(): "unix:", the nameless end of a connection, and "unspecified".
  std::string to_string() const;

  // For the kernel: the address and how many of its bytes count.
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }

  friend bool operator==(const SocketAddress& a, const SocketAddress& b) { return a.bytes() == b.bytes(); }
  friend bool operator!=(const SocketAddress& a, const SocketAddress& b) { return !(a == b); }

  size_t hash() const { return std::hash<std::string_view>()(bytes()); }

  template <class H>
  friend H AbslHashValue(H state, const SocketAddress& address) {
    return H::combine(std::move(state), address.hash());
  }

 private:
  template <class Sockaddr>
  SocketAddress(const Sockaddr& address, size_t size);

  static absl::StatusOr<SocketAddress> from_path(std::string_view path);

  std::string_view bytes() const { return {reinterpret_cast<const char*>(&storage_), size_}; }

  sockaddr_storage storage_{};  // zero beyond size_, and wherever the family has padding
  socklen_t size_ = 0;
};

}  // namespace weir

template <>
struct std::hash<weir::SocketAddress> {
  size_t operator()(const weir::SocketAddress& address) const { return address.hash(); }
};
