#include "weir/runtime/io/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace weir {

Task<absl::StatusOr<TcpStream>> TcpStream::connect(SocketAddress address) {
  absl::StatusOr<internal::OwnedDescriptor> connection = co_await connect_to(address);
  if (!connection.ok()) co_return connection.status();
  co_return TcpStream(std::move(*connection));
}

Task<absl::Status> TcpStream::set_no_delay(bool on) { return set_option(IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0); }

absl::StatusOr<TcpListener> TcpListener::bind(SocketAddress address, ListenOptions options) {
  absl::StatusOr<internal::OwnedDescriptor> listening = bind_to(address, options);
  if (!listening.ok()) return listening.status();
  return TcpListener(std::move(*listening));
}

Task<absl::StatusOr<TcpStream>> TcpListener::accepted(Task<absl::StatusOr<internal::OwnedDescriptor>> next) {
  absl::StatusOr<internal::OwnedDescriptor> connection = co_await std::move(next);
  if (!connection.ok()) co_return connection.status();
  co_return TcpStream(std::move(*connection));
}

}  // namespace weir
