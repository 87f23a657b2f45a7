// TcpListener and TcpStream.
//
//   absl::StatusOr<weir::TcpListener> listener = weir::TcpListener::bind(*weir::SocketAddress::parse("127.0.0.1:0"));
//   absl::StatusOr<weir::TcpStream> stream = co_await listener->accept();
//   absl::StatusOr<weir::TcpStream> other = co_await weir::TcpStream::connect(listener->local_address());
//
// Reading, writing, threads, cancelling, errors: io/socket_stream.h and io/socket_listener.h.
#pragma once

#include <utility>

#include "weir/runtime/io/socket_listener.h"
#include "weir/runtime/io/socket_stream.h"

namespace weir {
namespace internal {
struct ServeAccess;
}

class TcpStream : public internal::SocketStream {
 public:
  // The message of a failure names the address ("connect 127.0.0.1:1: Connection refused"). No deadline of its own: the
  // kernel's is minutes, use timeout().
  static Task<absl::StatusOr<TcpStream>> connect(SocketAddress address);

  // Takes over a connected socket. O_NONBLOCK is taken off it. Needs no loop.
  static TcpStream from_fd(int fd) { return TcpStream(adopt(fd)); }

  // Small writes leave at once, instead of waiting for the answer to the last one (TCP_NODELAY).
  Task<absl::Status> set_no_delay(bool on = true);

 private:
  friend class TcpListener;
  friend struct internal::ServeAccess;
  explicit TcpStream(internal::OwnedDescriptor connection) noexcept : SocketStream(std::move(connection)) {}
};

class TcpListener : public internal::SocketListener {
 public:
  using Stream = TcpStream;

  // Binds and listens. Port 0: the kernel chooses, local_address() says which. Needs no loop.
  static absl::StatusOr<TcpListener> bind(SocketAddress address, ListenOptions options = {});

  // Takes over a socket that listens. O_NONBLOCK is taken off it. Needs no loop.
  static TcpListener from_fd(int fd) { return TcpListener(adopt(fd)); }

  Task<absl::StatusOr<TcpStream>> accept() { return accepted(accept_connection()); }

 private:
  friend struct internal::ServeAccess;
  explicit TcpListener(internal::OwnedDescriptor listening) noexcept : SocketListener(std::move(listening)) {}
  static Task<absl::StatusOr<TcpStream>> accepted(Task<absl::StatusOr<internal::OwnedDescriptor>> next);
};

}  // namespace weir
