#include "weir/runtime/io/socket_listener.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/socket_stream.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir::internal {

class Listening final : public Descriptor {
 public:
  Listening(int fd, Kernel& kernel, const SocketAddress& address) noexcept
      : Descriptor(fd, Kind::kPeer, kernel), address_(address) {}

  const SocketAddress& address() const noexcept { return address_; }
  std::string what(std::string_view operation) const {
    return absl::StrCat(absl::string_view(operation.data(), operation.size()), " ", address_.to_string());
  }

 private:
  ~Listening() override = default;

  const SocketAddress address_;
};

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
  return OwnedDescriptor(new Listening(owned.release(), kernel, local_address_of(fd, kernel)));
}

OwnedDescriptor SocketListener::adopt(int fd) {
  Kernel& kernel = current_kernel();
  make_blocking(fd, kernel);
  return OwnedDescriptor(new Listening(fd, kernel, local_address_of(fd, kernel)));
}

DescriptorRef<Listening> SocketListener::held(std::string_view what) const {
  return DescriptorRef<Listening>(static_cast<Listening&>(descriptor_.get(what)));
}

namespace {

Task<absl::StatusOr<OwnedDescriptor>> accept_from(DescriptorRef<Listening> listening) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const raw = reinterpret_cast<sockaddr*>(&storage);
  for (;;) {
    size = sizeof storage;
    const int fd = co_await descriptor_operation(*listening, [raw, &size](io_uring_sqe* sqe, int listener) noexcept {
      io_uring_prep_accept(sqe, listener, raw, &size, SOCK_CLOEXEC);
    });
    if (fd >= 0) {
      co_return make_connection(fd, listening->kernel(), SocketAddress::from_sockaddr(raw, size).value_or(SocketAddress()));
    }
    // A connection that was gone again before it could be taken is no news of the listener's.
    if (fd == -ECONNABORTED) continue;
    const bool closed = listening->closing() && fd == -EINTR;
    co_return errno_status(closed ? ECANCELED : -fd, listening->what("accept"));
  }
}

}  // namespace

Task<absl::StatusOr<OwnedDescriptor>> SocketListener::accept_connection() { return accept_from(held("accept")); }

SocketAddress SocketListener::local_address() const { return held("local_address")->address(); }

Task<absl::Status> SocketListener::close() {
  if (descriptor_.get_or_null() == nullptr) return descriptor_.close("close");
  return descriptor_.close(held("close")->what("close"));
}

}  // namespace weir::internal
