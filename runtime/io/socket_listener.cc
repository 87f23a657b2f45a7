#include "weir/runtime/io/socket_listener.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/socket_stream.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/status.h"

namespace weir::internal {
namespace {

// The path that a Unix socket is bound to; empty for other addresses.
std::string path_of(const SocketAddress& address) {
  if (address.family() != AF_UNIX) return std::string();
  return std::string(reinterpret_cast<const sockaddr_un*>(address.data())->sun_path);  // empty: an abstract name
}

}  // namespace

absl::StatusOr<OwnedDescriptor> SocketListener::bind_to(const SocketAddress& address, const ListenOptions& options) {
  const std::string object = address.to_string();
  Kernel& kernel = current_kernel();
  const int fd = kernel.socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno_status(-fd, absl::StrCat("socket ", object));
  OwnedDescriptor owned(fd, Descriptor::Kind::kPeer);  // closes it where this returns early
  const bool inet = address.family() != AF_UNIX;
  if (inet && options.reuse_address) {
    const absl::Status set = set_socket_option(fd, kernel, SOL_SOCKET, SO_REUSEADDR, 1, object);
    if (!set.ok()) return set;
  }
  if (inet && options.reuse_port) {
    const absl::Status set = set_socket_option(fd, kernel, SOL_SOCKET, SO_REUSEPORT, 1, object);
    if (!set.ok()) return set;
  }
  int result = kernel.bind(fd, address.data(), address.size());
  if (result < 0) return errno_status(-result, absl::StrCat("bind ", object));
  result = kernel.listen(fd, options.backlog);
  if (result < 0) return errno_status(-result, absl::StrCat("listen ", object));
  auto* const listening = new Listening(owned.release(), kernel, local_address_of(fd, kernel));
  listening->own_path(path_of(address));
  return OwnedDescriptor(listening);
}

OwnedDescriptor SocketListener::adopt(int fd) {
  Kernel& kernel = current_kernel();
  make_blocking(fd, kernel);
  return OwnedDescriptor(new Listening(fd, kernel, local_address_of(fd, kernel)));
}

DescriptorRef<Listening> SocketListener::held(std::string_view what) const {
  return DescriptorRef<Listening>(static_cast<Listening&>(descriptor_.get(what)));
}

Task<absl::StatusOr<OwnedDescriptor>> SocketListener::accept_connection() { return accept_from(held("accept")); }

AcceptSource SocketListener::accept_source() { return AcceptSource(held("serve")); }

SocketAddress SocketListener::local_address() const { return held("local_address")->address(); }

Task<absl::Status> SocketListener::close() {
  if (descriptor_.get_or_null() == nullptr) return descriptor_.close("close");
  const ListeningRef listening = held("close");
  listening->remove_path();
  return descriptor_.close(absl::StrCat("close ", listening->address().to_string()));
}

}  // namespace weir::internal
