#include "weir/runtime/io/socket_stream.h"

#include <fcntl.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir::internal {

class Connection final : public Descriptor {
 public:
  Connection(int fd, Kernel& kernel, const SocketAddress& peer) noexcept : Descriptor(fd, Kind::kPeer, kernel), peer_(peer) {}

  const SocketAddress& peer() const noexcept { return peer_; }

  std::string what(std::string_view operation) const {
    return absl::StrCat(absl::string_view(operation.data(), operation.size()), " ", peer_.to_string());
  }

  // `result` is negative. A request that a worker of the kernel had begun says EINTR when close() interrupts it.
  absl::Status failed(std::string_view operation, int result) const {
    return errno_status(closing() && result == -EINTR ? ECANCELED : -result, what(operation));
  }

  // The one reader, for as long as it reads.
  class Reading {
   public:
    explicit Reading(Connection& connection) : connection_(connection) {
      if (connection.reading_) {
        throw std::logic_error(connection.what("read") + ": another task reads from this stream; let one task read, or take turns with a Mutex");
      }
      connection.reading_ = true;
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() { connection_.reading_ = false; }

   private:
    Connection& connection_;
  };

 private:
  ~Connection() override = default;

  const SocketAddress peer_;
  bool reading_ = false;
};

namespace {

using ConnectionRef = DescriptorRef<Connection>;

Task<absl::StatusOr<std::size_t>> read_some(ConnectionRef connection, absl::Span<std::byte> data) {
  if (data.empty()) co_return std::size_t{0};
  const Connection::Reading reading(*connection);
  const int result = co_await descriptor_operation(*connection, [data](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_recv(sqe, fd, data.data(), transfer_size(data.size()), 0);
  });
  if (result < 0) co_return connection->failed("read", result);
  co_return static_cast<std::size_t>(result);
}

Task<absl::Status> read_whole(ConnectionRef connection, absl::Span<std::byte> data) {
  const Connection::Reading reading(*connection);
  std::size_t done = 0;
  while (done < data.size()) {
    const absl::Span<std::byte> rest = data.subspan(done);
    const int result = co_await descriptor_operation(*connection, [rest](io_uring_sqe* sqe, int fd) noexcept {
      io_uring_prep_recv(sqe, fd, rest.data(), transfer_size(rest.size()), MSG_WAITALL);
    });
    if (result < 0) co_return connection->failed("read", result);
    if (result == 0) {
      co_return absl::OutOfRangeError(absl::StrCat(connection->what("read"), ": end of stream after ", done, " of ", data.size(), " bytes"));
    }
    done += static_cast<std::size_t>(result);
  }
  co_return absl::OkStatus();
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
  const int result = connection->kernel().set_option(connection->fd(), level, name, value.data(), static_cast<socklen_t>(value.size()));
  if (result < 0) co_return connection->failed("setsockopt", result);
  co_return absl::OkStatus();
}

Task<absl::Status> set_option_of(ConnectionRef connection, int level, int name, int value) {
  co_return set_socket_option(connection->fd(), connection->kernel(), level, name, value, connection->peer().to_string());
}

}  // namespace

OwnedDescriptor make_connection(int fd, Kernel& kernel, const SocketAddress& peer) {
  return OwnedDescriptor(new Connection(fd, kernel, peer));
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
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const raw = reinterpret_cast<sockaddr*>(&storage);
  SocketAddress peer;
  if (kernel.peer_address(fd, raw, &size) >= 0) peer = SocketAddress::from_sockaddr(raw, size).value_or(SocketAddress());
  return make_connection(fd, kernel, peer);
}

ConnectionRef SocketStream::held(std::string_view what) const {
  return ConnectionRef(static_cast<Connection&>(descriptor_.get(what)));
}

Task<absl::StatusOr<std::size_t>> SocketStream::read(absl::Span<std::byte> data) { return read_some(held("read"), data); }
Task<absl::Status> SocketStream::read_exact(absl::Span<std::byte> data) { return read_whole(held("read_exact"), data); }
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

SocketAddress SocketStream::peer_address() const { return held("peer_address")->peer(); }
SocketAddress SocketStream::local_address() const {
  const ConnectionRef connection = held("local_address");
  return local_address_of(connection->fd(), connection->kernel());
}

}  // namespace weir::internal
