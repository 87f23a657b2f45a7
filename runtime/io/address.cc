#include "weir/runtime/io/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace weir {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);
constexpr size_t kPathMax = sizeof(sockaddr_un::sun_path) - 1;  // a byte for the terminator, or for abstract's zero

absl::string_view as_absl(std::string_view text) { return {text.data(), text.size()}; }

absl::Status invalid(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("socket address \"", absl::CEscape(as_absl(text)), "\": ", as_absl(why)));
}

template <class Unsigned>
std::optional<Unsigned> parse_unsigned(std::string_view digits) {
  Unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// A number, or the name of an interface; 0 when there is no such interface.
uint32_t parse_scope(const std::string& scope) {
  if (const auto number = parse_unsigned<uint32_t>(scope)) return *number;
  return if_nametoindex(scope.c_str());
}

}  // namespace

template <class Sockaddr>
SocketAddress::SocketAddress(const Sockaddr& address, size_t size) : size_(static_cast<socklen_t>(size)) {
  static_assert(sizeof(Sockaddr) <= sizeof(storage_));
  std::memcpy(&storage_, &address, size);
}

absl::StatusOr<SocketAddress> SocketAddress::parse(std::string_view text) {
  if (text.empty()) return invalid(text, "empty; expected 127.0.0.1:80, [::1]:80 or unix:/path");
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) return from_path(text.substr(kUnixPrefix.size()));
  if (text.find('\0') != text.npos) return invalid(text, "a zero byte");

  std::string_view host;
  std::string_view port_text;
  const bool bracketed = text.front() == '[';
  if (bracketed) {
    const size_t end = text.find(']');
    if (end == text.npos) return invalid(text, "the bracket is not closed");
    host = text.substr(1, end - 1);
    port_text = text.substr(end + 1);
    if (port_text.empty() || port_text.front() != ':') return invalid(text, "no :port after the bracket");
    port_text.remove_prefix(1);
  } else {
    const size_t colon = text.find(':');
    if (colon == text.npos) return invalid(text, "no :port");
    if (text.find(':', colon + 1) != text.npos) return invalid(text, "IPv6 is written in brackets, as in [::1]:80");
    host = text.substr(0, colon);
    port_text = text.substr(colon + 1);
  }
  const std::optional<uint16_t> port = parse_unsigned<uint16_t>(port_text);
  if (!port) return invalid(text, "the port is not a number from 0 to 65535");

  if (!bracketed) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(*port);
    if (inet_pton(AF_INET, std::string(host).c_str(), &address.sin_addr) != 1) {
      return invalid(text, "the host is not an IPv4 address (names are looked up by weir::resolve)");
    }
    return SocketAddress(address, sizeof(address));
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(*port);
  const size_t percent = host.find('%');
  if (inet_pton(AF_INET6, std::string(host.substr(0, percent)).c_str(), &address.sin6_addr) != 1) {
    return invalid(text, "what is in the brackets is not an IPv6 address");
  }
  if (percent != host.npos) {
    address.sin6_scope_id = parse_scope(std::string(host.substr(percent + 1)));
    if (address.sin6_scope_id == 0) return invalid(text, "the scope is not an interface of this machine");
  }
  return SocketAddress(address, sizeof(address));
}

// What follows "unix:".
absl::StatusOr<SocketAddress> SocketAddress::from_path(std::string_view path) {
  const auto wrong = [&](std::string_view why) { return invalid(absl::StrCat("unix:", as_absl(path)), why); };
  if (path.empty()) return wrong("no path");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.front() == '@') {
    const std::string_view name = path.substr(1);
    if (name.empty()) return wrong("no name after the @");
    if (name.size() > kPathMax) return wrong("the name is longer than 107 bytes");
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    return SocketAddress(address, kPathOffset + 1 + name.size());
  }
  if (path.find('\0') != path.npos) return wrong("a zero byte in the path");
  if (path.size() > kPathMax) return wrong("the path is longer than 107 bytes");
  std::memcpy(address.sun_path, path.data(), path.size());
  return SocketAddress(address, kPathOffset + path.size() + 1);
}

absl::StatusOr<SocketAddress> SocketAddress::from_sockaddr(const sockaddr* address, size_t size) {
  sa_family_t family = AF_UNSPEC;
  if (size >= sizeof(family)) std::memcpy(&family, address, sizeof(family));
  switch (family) {
    case AF_INET: {
      if (size < sizeof(sockaddr_in)) break;
      sockaddr_in given;
      std::memcpy(&given, address, sizeof(given));
      sockaddr_in kept{};
      kept.sin_family = AF_INET;
      kept.sin_port = given.sin_port;
      kept.sin_addr = given.sin_addr;
      return SocketAddress(kept, sizeof(kept));
    }
    case AF_INET6: {
      if (size < sizeof(sockaddr_in6)) break;
      sockaddr_in6 kept;
      std::memcpy(&kept, address, sizeof(kept));
      kept.sin6_flowinfo = 0;
      return SocketAddress(kept, sizeof(kept));
    }
    case AF_UNIX: {
      // The kernel says a byte more than the structure has for a path that fills it.
      if (size > sizeof(sockaddr_un) + 1) break;
      sockaddr_un kept{};
      std::memcpy(&kept, address, std::min(size, sizeof(kept)));
      const size_t path_size = std::min(size, sizeof(kept)) - kPathOffset;
      if (path_size == 0 || kept.sun_path[0] == '\0') return SocketAddress(kept, kPathOffset + path_size);
      // A path counts to its terminator, and the terminator with it, if there is room for one.
      const size_t length = strnlen(kept.sun_path, path_size);
      std::memset(kept.sun_path + length, 0, sizeof(kept.sun_path) - length);
      return SocketAddress(kept, std::min(sizeof(kept), kPathOffset + length + 1));
    }
    default:
      return absl::InvalidArgumentError(absl::StrCat("socket address of ", size, " bytes: family ", family,
                                                     " is none of IPv4, IPv6 and Unix"));
  }
  return absl::InvalidArgumentError(absl::StrCat("socket address of family ", family, ": ", size,
                                                 " bytes is not a size of that family"));
}

uint16_t SocketAddress::port() const {
  switch (family()) {
    case AF_INET: return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
    case AF_INET6: return ntohs(reinterpret_cast<const sockaddr_in6&>(storage_).sin6_port);
    default: return 0;
  }
}

std::string SocketAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  switch (family()) {
    case AF_INET:
      inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage_).sin_addr, text, sizeof(text));
      return absl::StrCat(text, ":", port());
    case AF_INET6: {
      const auto& address = reinterpret_cast<const sockaddr_in6&>(storage_);
      inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
      if (address.sin6_scope_id == 0) return absl::StrCat("[", text, "]:", port());
      return absl::StrCat("[", text, "%", address.sin6_scope_id, "]:", port());
    }
    case AF_UNIX: {
      std::string_view path = bytes().substr(kPathOffset);
      if (path.empty()) return std::string(kUnixPrefix);
      if (path.front() == '\0') return absl::StrCat("unix:@", as_absl(path.substr(1)));
      path = path.substr(0, path.find('\0'));
      return absl::StrCat("unix:", path.front() == '@' ? "./" : "", as_absl(path));
    }
    default:
      return "unspecified";
  }
}

}  // namespace weir
