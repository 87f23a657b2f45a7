#include "weir/runtime/io/udp.h"

#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/socket_stream.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir {
namespace internal {
namespace {

using SocketRef = DescriptorRef<Descriptor>;

absl::Status failed(const Descriptor& socket, int result, std::string_view what) {
  return errno_status(socket.closing() && result == -EINTR ? ECANCELED : -result, what);
}

Task<absl::StatusOr<Datagram>> receive(SocketRef socket, absl::Span<std::byte> data) {
  sockaddr_storage from{};
  iovec vector{data.data(), data.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  const int result = co_await descriptor_operation(
      *socket, [&message](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_recvmsg(sqe, fd, &message, 0); });
  if (result < 0) {
    co_return failed(*socket, result, absl::StrCat("receive_from ", local_address_of(socket->fd(), socket->kernel()).to_string()));
  }
  const auto* const raw = reinterpret_cast<const sockaddr*>(&from);
  co_return Datagram(static_cast<std::size_t>(result), (message.msg_flags & MSG_TRUNC) != 0,
                     SocketAddress::from_sockaddr(raw, message.msg_namelen).value_or(SocketAddress()));
}

Task<absl::Status> send(SocketRef socket, absl::Span<const std::byte> data, SocketAddress address) {
  iovec vector{const_cast<std::byte*>(data.data()), data.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(address.data());
  message.msg_namelen = address.size();
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  const int result = co_await descriptor_operation(
      *socket, [&message](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_sendmsg(sqe, fd, &message, MSG_NOSIGNAL); });
  if (result < 0) co_return failed(*socket, result, absl::StrCat("send_to ", address.to_string()));
  co_return absl::OkStatus();
}

}  // namespace
}  // namespace internal

absl::StatusOr<UdpSocket> UdpSocket::bind(SocketAddress address) {
  internal::Kernel& kernel = internal::current_kernel();
  const int fd = kernel.socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return internal::errno_status(-fd, absl::StrCat("socket ", address.to_string()));
  internal::OwnedDescriptor owned(fd, internal::Descriptor::Kind::kPeer);
  const int result = kernel.bind(fd, address.data(), address.size());
  if (result < 0) return internal::errno_status(-result, absl::StrCat("bind ", address.to_string()));
  return UdpSocket(std::move(owned));
}

UdpSocket UdpSocket::from_fd(int fd) {
  internal::make_blocking(fd, internal::current_kernel());
  return UdpSocket(internal::OwnedDescriptor(fd, internal::Descriptor::Kind::kPeer));
}

Task<absl::StatusOr<Datagram>> UdpSocket::receive_from(absl::Span<std::byte> data) {
  return internal::receive(internal::SocketRef(descriptor_.get("UdpSocket::receive_from")), data);
}

Task<absl::Status> UdpSocket::send_to(absl::Span<const std::byte> data, SocketAddress address) {
  return internal::send(internal::SocketRef(descriptor_.get("UdpSocket::send_to")), data, address);
}

SocketAddress UdpSocket::local_address() const {
  const internal::Descriptor& socket = descriptor_.get("UdpSocket::local_address");
  return internal::local_address_of(socket.fd(), socket.kernel());
}

}  // namespace weir
