// UnixListener and UnixStream: connections within one machine, by path or by abstract name.
//
//   auto listener = weir::UnixListener::bind(*weir::SocketAddress::parse("unix:/run/x.sock"));
//   auto stream = co_await weir::UnixStream::connect(*weir::SocketAddress::parse("unix:@abstract"));
//
// bind() makes the path, and it goes with the listener: when that is closed or dropped, unless it was released, or another
// file lies there by then. Binding to a path that exists, as a listener that crashed leaves it, fails (EADDRINUSE):
// unlink() it first. An abstract name is gone with its listener. Reading, writing, threads, cancelling, errors: io/socket_stream.h and
// io/socket_listener.h.
#pragma once

#include <utility>

#include "weir/runtime/io/socket_listener.h"
#include "weir/runtime/io/socket_stream.h"

namespace weir {
namespace internal {
struct ServeAccess;
}

class UnixStream : public internal::SocketStream {
 public:
  static Task<absl::StatusOr<UnixStream>> connect(SocketAddress address);

  // Takes over a connected socket. O_NONBLOCK is taken off it. Needs no loop.
  static UnixStream from_fd(int fd) { return UnixStream(adopt(fd)); }

 private:
  friend class UnixListener;
  friend struct internal::ServeAccess;
  explicit UnixStream(internal::OwnedDescriptor connection) noexcept : SocketStream(std::move(connection)) {}
};

class UnixListener : public internal::SocketListener {
 public:
  using Stream = UnixStream;

  // Binds and listens. Needs no loop. Of the options only the backlog counts.
  static absl::StatusOr<UnixListener> bind(SocketAddress address, ListenOptions options = {});

  // Takes over a socket that listens. O_NONBLOCK is taken off it. Needs no loop.
  static UnixListener from_fd(int fd) { return UnixListener(adopt(fd)); }

  Task<absl::StatusOr<UnixStream>> accept() { return accepted(accept_connection()); }

 private:
  friend struct internal::ServeAccess;
  explicit UnixListener(internal::OwnedDescriptor listening) noexcept : SocketListener(std::move(listening)) {}
  static Task<absl::StatusOr<UnixStream>> accepted(Task<absl::StatusOr<internal::OwnedDescriptor>> next);
};

}  // namespace weir
