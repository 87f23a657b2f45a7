#include "weir/bridge/net.h"

#include <netdb.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "weir/bridge/threaded.h"
#include "weir/runtime/status.h"

namespace weir {
namespace {

using Addresses = absl::StatusOr<std::vector<SocketAddress>>;

Addresses look_up(const std::string& host, const std::string& service) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &found);
  const std::string what = absl::StrCat("resolve ", host, " ", service);
  if (error == EAI_SYSTEM) return internal::errno_status(errno, what);
  if (error == EAI_AGAIN) return absl::UnavailableError(absl::StrCat(what, ": ", ::gai_strerror(error)));
  if (error != 0) return absl::NotFoundError(absl::StrCat(what, ": ", ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &::freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    auto address = SocketAddress::from_sockaddr(at->ai_addr, at->ai_addrlen);
    if (!address.ok()) return address.status();
    addresses.push_back(*std::move(address));
  }
  return addresses;
}

}  // namespace

Task<Addresses> resolve(std::string host, std::string service) {
  const auto blocking = threaded(look_up);
  co_return co_await blocking(std::move(host), std::move(service));
}

}  // namespace weir
