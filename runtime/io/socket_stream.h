// What TcpStream and UnixStream have in common: a connected socket, read and written in order.
//
//   std::string text(4096, '\0');
//   absl::StatusOr<size_t> count = co_await stream.read(weir::writable_bytes(text));     // 0 at the end
//   absl::StatusOr<weir::Buffer> piece = co_await stream.receive();                      // empty at the end
//   absl::Status status = co_await stream.write_all(*piece);
//
// Threads: one loop at a time (see runtime/descriptor.h); it may be dropped on any thread. Spans must stay valid until
// the co_await has ended. One reader at a time: a second one while the first waits is std::logic_error. Reading and
// writing at once is fine; of two writers at once the bytes may mix.
// Cancelling: the request is cancelled and waited for; bytes that arrived in spite of it are returned. A write_all or
// read_exact that was cancelled may have moved a part.
// Errors: a Status that names operation, peer and errno. SIGPIPE is never raised: writing to a peer that is gone is EPIPE
// or ECONNRESET. Closing, or dropping the stream, cancels what is in flight on it (kCancelled). A stream that was closed
// or moved from: std::logic_error.
// Cost: a Task's frame a call, no system call of its own. receive(): no block while a connection is idle (before Linux 6.0
// two requests instead of one, the first waits until there are bytes); what the first call makes stays, some 300 bytes.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/address.h"
#include "weir/runtime/io/buffer.h"
#include "weir/runtime/io/bytes.h"
#include "weir/runtime/task.h"

namespace weir::internal {

class Connection;

class SocketStream {
 public:
  // At most data.size() bytes, as soon as there are any; 0 at the end (and for an empty span).
  Task<absl::StatusOr<std::size_t>> read(absl::Span<std::byte> data);
  // All of it. An early end of the stream is kOutOfRange.
  Task<absl::Status> read_exact(absl::Span<std::byte> data);

  // The next bytes, in a block that the kernel picks when they come, from the loop's provided buffers (LoopOptions). Empty at
  // the end. TCP is received ahead of the reader (multishot): up to 4 blocks, then the kernel is told to stop until the next
  // receive() that finds none. read() and read_exact() take what it has left first.
  // The loop's blocks are a bound for all its connections: without a free one it waits until a Buffer is dropped. Tasks that
  // keep their Buffers while they wait for more would in the end wait for each other: who gathers a message from several
  // pieces copies them (or uses read()), and drops each Buffer before the next receive().
  Task<absl::StatusOr<Buffer>> receive();

  // As much as the kernel takes; waits until it takes some.
  Task<absl::StatusOr<std::size_t>> write(absl::Span<const std::byte> data);
  // All of it; the second form gathers, with one request for up to 1,024 parts.
  Task<absl::Status> write_all(absl::Span<const std::byte> data);
  Task<absl::Status> write_all(absl::Span<const absl::Span<const std::byte>> parts);

  // SHUT_WR: the peer reads the end after what was written; SHUT_RD, SHUT_RDWR as shutdown(2).
  Task<absl::Status> shutdown(int how = SHUT_WR);

  // Cancels what is in flight, waits for it, closes. Idempotent.
  Task<absl::Status> close();

  // setsockopt(2).
  Task<absl::Status> set_option(int level, int name, int value);
  Task<absl::Status> set_option(int level, int name, absl::Span<const std::byte> value);

  // Unspecified when the kernel does not know.
  SocketAddress peer_address() const;
  SocketAddress local_address() const;

  int fd() const noexcept { return descriptor_.fd(); }  // -1 when closed
  // The number, for the caller to keep. std::logic_error while a task reads or writes, and when bytes would be lost that
  // the kernel has received already.
  int release();

 protected:
  explicit SocketStream(OwnedDescriptor connection) noexcept : descriptor_(std::move(connection)) {}
  ~SocketStream() = default;
  SocketStream(SocketStream&&) noexcept = default;
  SocketStream& operator=(SocketStream&&) noexcept = default;

  // A connected socket of the address's family.
  static Task<absl::StatusOr<OwnedDescriptor>> connect_to(SocketAddress address);
  static OwnedDescriptor adopt(int fd);

 private:
  friend struct DescriptorAccess;
  DescriptorRef<Connection> held(std::string_view what) const;

  OwnedDescriptor descriptor_;
};

// Takes over a connected socket that the kernel made (accept).
OwnedDescriptor make_connection(int fd, Kernel& kernel, const SocketAddress& peer);

// The same, its peer to be asked of the kernel.
OwnedDescriptor make_connection(int fd, Kernel& kernel);

// O_NONBLOCK is taken off: the ring would answer EAGAIN for such a socket instead of waiting.
void make_blocking(int fd, Kernel& kernel) noexcept;

// A socket's own address; unspecified when the kernel does not know.
SocketAddress local_address_of(int fd, Kernel& kernel) noexcept;

// setsockopt(2) with an int.
absl::Status set_socket_option(int fd, Kernel& kernel, int level, int name, int value, std::string_view object);

}  // namespace weir::internal
