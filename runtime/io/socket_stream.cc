#include "weir/runtime/io/socket_stream.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/connection.h"
#include "weir/runtime/io/io_state.h"
#include "weir/runtime/io/receiver.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir::internal {

namespace {

auto receive_request(Connection& connection, absl::Span<std::byte> data, int flags) {
  return descriptor_operation(connection, [data, flags](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_recv(sqe, fd, data.data(), transfer_size(data.size()), flags);
  });
}

// What the receiver has, as much as fits; the rest stays there. `result` is what it gave with `piece`.
int take_from(Receiver& receiver, Buffer piece, int result, absl::Span<std::byte> data) {
  if (result <= 0) return result;
  const std::size_t count = std::min(piece.size(), data.size());
  std::memcpy(data.data(), piece.data(), count);
  piece.remove_prefix(count);
  if (!piece.empty()) receiver.put_back(std::move(piece));
  return static_cast<int>(count);
}

Task<absl::StatusOr<std::size_t>> read_some(ConnectionRef connection, absl::Span<std::byte> data) {
  if (data.empty()) co_return std::size_t{0};
  const Connection::Reading reading(*connection);
  int result = 0;
  if (Receiver* const receiver = connection->active_receiver()) {
    Buffer piece;
    const int received = co_await receiver->next(piece);
    result = take_from(*receiver, std::move(piece), received, data);
  } else {
    result = co_await receive_request(*connection, data, 0);
  }
  if (result < 0) co_return connection->failed("read", result);
  co_return static_cast<std::size_t>(result);
}

Task<absl::Status> read_whole(ConnectionRef connection, absl::Span<std::byte> data) {
  const Connection::Reading reading(*connection);
  std::size_t done = 0;
  while (done < data.size()) {
    const absl::Span<std::byte> rest = data.subspan(done);
    int result = 0;
    if (Receiver* const receiver = connection->active_receiver()) {
      Buffer piece;
      const int received = co_await receiver->next(piece);
      result = take_from(*receiver, std::move(piece), received, rest);
    } else {
      result = co_await receive_request(*connection, rest, MSG_WAITALL);
    }
    if (result < 0) co_return connection->failed("read", result);
    if (result == 0) {
      co_return absl::OutOfRangeError(absl::StrCat(connection->what("read"), ": end of stream after ", done, " of ", data.size(), " bytes"));
    }
    done += static_cast<std::size_t>(result);
  }
  co_return absl::OkStatus();
}

// Without provided buffers: the block is taken when there are bytes, so that an idle connection costs none here, either.
Task<absl::StatusOr<Buffer>> receive_plainly(ConnectionRef connection) {
  BufferPool& pool = IoState::of(Root::current().engine()).receive_pool();
  for (;;) {
    const int events = co_await descriptor_operation(
        *connection, [](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_poll_add(sqe, fd, POLLIN); });
    if (events < 0) co_return connection->failed("receive", events);
    Buffer block = co_await pool.acquire();
    const int result = co_await receive_request(*connection, block.span(), MSG_DONTWAIT);
    if (result == -EAGAIN) continue;  // the bytes that the poll saw were not for us (a checksum that failed)
    if (result < 0) co_return connection->failed("receive", result);
    if (result == 0) co_return Buffer();
    block.resize(static_cast<std::size_t>(result));
    co_return std::move(block);
  }
}

Task<absl::StatusOr<Buffer>> receive_next(ConnectionRef connection) {
  const Connection::Reading reading(*connection);
  IoState& state = IoState::of(Root::current().engine());
  ReceiveBlocks* const blocks = state.receive_blocks();
  if (Receiver* const receiver = blocks != nullptr ? &connection->receiver(*blocks) : connection->active_receiver()) {
    Buffer piece;
    const int result = co_await receiver->next(piece);
    if (result > 0) co_return std::move(piece);
    if (result == 0) co_return Buffer();
    if (result != -EINVAL) co_return connection->failed("receive", result);
    state.no_multishot_receive();  // before 6.0; else the plain request says EINVAL, too
  }
  co_return co_await receive_plainly(connection);
}

// MSG_WAITALL lets the kernel (since 5.19) go on after a short send by itself.
auto send_request(Connection& connection, absl::Span<const std::byte> data, int flags) {
  return descriptor_operation(connection, [data, flags](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_send(sqe, fd, data.data(), transfer_size(data.size()), flags | MSG_NOSIGNAL);
  });
}

Task<absl::StatusOr<std::size_t>> write_some(ConnectionRef connection, absl::Span<const std::byte> data) {
  if (data.empty()) co_return std::size_t{0};
  const int result = co_await send_request(*connection, data, 0);
  if (result < 0) co_return connection->failed("write", result);
  co_return static_cast<std::size_t>(result);
}

Task<absl::Status> write_whole(ConnectionRef connection, absl::Span<const std::byte> data) {
  while (!data.empty()) {
    const int result = co_await send_request(*connection, data, MSG_WAITALL);
    if (result < 0) co_return connection->failed("write", result);
    data.remove_prefix(static_cast<std::size_t>(result));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> write_parts(ConnectionRef connection, absl::Span<const absl::Span<const std::byte>> parts) {
  IoVectors vectors(parts);
  msghdr message{};
  while (!vectors.empty()) {
    message.msg_iov = vectors.data();
    message.msg_iovlen = vectors.count();
    const int result = co_await descriptor_operation(*connection, [&message](io_uring_sqe* sqe, int fd) noexcept {
      io_uring_prep_sendmsg(sqe, fd, &message, MSG_NOSIGNAL | MSG_WAITALL);
    });
    if (result < 0) co_return connection->failed("write", result);
    vectors.consume(static_cast<std::size_t>(result));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> shut_down(ConnectionRef connection, int how) {
  const int result = co_await descriptor_operation(
      *connection, [how](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_shutdown(sqe, fd, how); });
  if (result < 0) co_return connection->failed("shutdown", result);
  co_return absl::OkStatus();
}

Task<absl::Status> set_option_of(ConnectionRef connection, int level, int name, absl::Span<const std::byte> value) {
  if (connection->closing()) co_return connection->failed("setsockopt", -ECANCELED);
  const int result = connection->kernel().set_option(connection->fd(), level, name, value.data(), static_cast<socklen_t>(value.size()));
  if (result < 0) co_return connection->failed("setsockopt", result);
  co_return absl::OkStatus();
}

Task<absl::Status> set_option_of(ConnectionRef connection, int level, int name, int value) {
  if (connection->closing()) co_return connection->failed("setsockopt", -ECANCELED);
  co_return set_socket_option(connection->fd(), connection->kernel(), level, name, value, connection->peer().to_string());
}

}  // namespace

OwnedDescriptor make_connection(int fd, Kernel& kernel, const SocketAddress& peer) {
  return OwnedDescriptor(new Connection(fd, kernel, peer));
}

OwnedDescriptor make_connection(int fd, Kernel& kernel) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const raw = reinterpret_cast<sockaddr*>(&storage);
  SocketAddress peer;
  if (kernel.peer_address(fd, raw, &size) >= 0) peer = SocketAddress::from_sockaddr(raw, size).value_or(SocketAddress());
  return make_connection(fd, kernel, peer);
}

void make_blocking(int fd, Kernel& kernel) noexcept {
  const int flags = kernel.get_flags(fd);
  if (flags >= 0 && (flags & O_NONBLOCK) != 0) kernel.set_flags(fd, flags & ~O_NONBLOCK);
}

SocketAddress local_address_of(int fd, Kernel& kernel) noexcept {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const raw = reinterpret_cast<sockaddr*>(&storage);
  if (kernel.local_address(fd, raw, &size) < 0) return SocketAddress();
  return SocketAddress::from_sockaddr(raw, size).value_or(SocketAddress());
}

absl::Status set_socket_option(int fd, Kernel& kernel, int level, int name, int value, std::string_view object) {
  const int result = kernel.set_option(fd, level, name, &value, sizeof value);
  if (result >= 0) return absl::OkStatus();
  return errno_status(-result, absl::StrCat("setsockopt ", absl::string_view(object.data(), object.size())));
}

Task<absl::StatusOr<OwnedDescriptor>> SocketStream::connect_to(SocketAddress address) {
  const std::string what = absl::StrCat("connect ", address.to_string());
  Kernel& kernel = current_kernel();
  const int fd = kernel.socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return errno_status(-fd, what);
  auto* const connection = new Connection(fd, kernel, address);
  OwnedDescriptor owned(connection);
  const int result = co_await descriptor_operation(*connection, [&address](io_uring_sqe* sqe, int socket) noexcept {
    io_uring_prep_connect(sqe, socket, address.data(), address.size());
  });
  if (result < 0) co_return errno_status(-result, what);
  co_return owned;
}

OwnedDescriptor SocketStream::adopt(int fd) {
  Kernel& kernel = current_kernel();
  make_blocking(fd, kernel);
  return make_connection(fd, kernel);
}

ConnectionRef SocketStream::held(std::string_view what) const {
  return ConnectionRef(static_cast<Connection&>(descriptor_.get(what)));
}

Task<absl::StatusOr<std::size_t>> SocketStream::read(absl::Span<std::byte> data) { return read_some(held("read"), data); }
Task<absl::Status> SocketStream::read_exact(absl::Span<std::byte> data) { return read_whole(held("read_exact"), data); }
Task<absl::StatusOr<Buffer>> SocketStream::receive() { return receive_next(held("receive")); }
Task<absl::StatusOr<std::size_t>> SocketStream::write(absl::Span<const std::byte> data) { return write_some(held("write"), data); }
Task<absl::Status> SocketStream::write_all(absl::Span<const std::byte> data) { return write_whole(held("write_all"), data); }
Task<absl::Status> SocketStream::write_all(absl::Span<const absl::Span<const std::byte>> parts) {
  return write_parts(held("write_all"), parts);
}
Task<absl::Status> SocketStream::shutdown(int how) { return shut_down(held("shutdown"), how); }

Task<absl::Status> SocketStream::close() {
  if (descriptor_.get_or_null() == nullptr) return descriptor_.close("close");
  return descriptor_.close(held("close")->what("close"));
}

Task<absl::Status> SocketStream::set_option(int level, int name, int value) {
  return set_option_of(held("set_option"), level, name, value);
}
Task<absl::Status> SocketStream::set_option(int level, int name, absl::Span<const std::byte> value) {
  return set_option_of(held("set_option"), level, name, value);
}

int SocketStream::release() {
  if (auto* const connection = static_cast<Connection*>(descriptor_.get_or_null())) connection->stop_receiving();
  return descriptor_.release();
}

SocketAddress SocketStream::peer_address() const { return held("peer_address")->peer(); }
SocketAddress SocketStream::local_address() const {
  const ConnectionRef connection = held("local_address");
  return local_address_of(connection->fd(), connection->kernel());
}

}  // namespace weir::internal
