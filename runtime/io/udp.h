// UdpSocket: datagrams, sent to any address and received from any.
//
//   absl::StatusOr<weir::UdpSocket> socket = weir::UdpSocket::bind(*weir::SocketAddress::parse("0.0.0.0:53"));
//   absl::StatusOr<weir::Datagram> datagram = co_await socket->receive_from(weir::writable_bytes(text));
//   co_await socket->send_to(weir::as_bytes(answer), datagram->from);
//
// Threads: one loop at a time; it may be dropped on any thread. Cancelling: the request is cancelled and waited for; a
// datagram that arrived in spite of it is returned. Closing cancels what waits (kCancelled). Several may receive at once.
// Cost: a Task's frame a call, no system call of its own.
#pragma once

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/address.h"
#include "weir/runtime/io/bytes.h"
#include "weir/runtime/task.h"

namespace weir {

class Datagram {
 public:
  Datagram(std::size_t bytes, bool was_cut, const SocketAddress& sender) noexcept : size(bytes), truncated(was_cut), from(sender) {}
  std::size_t size;     // bytes at the start of the span; 0 is a datagram, too
  bool truncated;       // it was longer than the span, the rest is lost
  SocketAddress from;
};

class UdpSocket {
 public:
  // Port 0: the kernel chooses. Needs no loop.
  static absl::StatusOr<UdpSocket> bind(SocketAddress address);

  // Takes over a socket. O_NONBLOCK is taken off it. Needs no loop.
  static UdpSocket from_fd(int fd);

  Task<absl::StatusOr<Datagram>> receive_from(absl::Span<std::byte> data);
  // The whole datagram, or an error (EMSGSIZE: too long for one).
  Task<absl::Status> send_to(absl::Span<const std::byte> data, SocketAddress address);

  SocketAddress local_address() const;

  // Cancels what is in flight, waits for it, closes. Idempotent.
  Task<absl::Status> close() { return descriptor_.close("close udp socket"); }
  int fd() const noexcept { return descriptor_.fd(); }  // -1 when closed
  int release() { return descriptor_.release(); }

 private:
  explicit UdpSocket(internal::OwnedDescriptor socket) noexcept : descriptor_(std::move(socket)) {}

  internal::OwnedDescriptor descriptor_;
};

}  // namespace weir
