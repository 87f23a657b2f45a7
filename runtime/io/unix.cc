#include "weir/runtime/io/unix.h"

namespace weir {

Task<absl::StatusOr<UnixStream>> UnixStream::connect(SocketAddress address) {
  absl::StatusOr<internal::OwnedDescriptor> connection = co_await connect_to(address);
  if (!connection.ok()) co_return connection.status();
  co_return UnixStream(std::move(*connection));
}

absl::StatusOr<UnixListener> UnixListener::bind(SocketAddress address, ListenOptions options) {
  absl::StatusOr<internal::OwnedDescriptor> listening = bind_to(address, options);
  if (!listening.ok()) return listening.status();
  return UnixListener(std::move(*listening));
}

Task<absl::StatusOr<UnixStream>> UnixListener::accepted(Task<absl::StatusOr<internal::OwnedDescriptor>> next) {
  absl::StatusOr<internal::OwnedDescriptor> connection = co_await std::move(next);
  if (!connection.ok()) co_return connection.status();
  co_return UnixStream(std::move(*connection));
}

}  // namespace weir
