// Pipe: bytes from one end to the other, between tasks or processes.
//
//   absl::StatusOr<weir::Pipe> pipe = weir::Pipe::create();
//   co_await pipe->writer.write_all(weir::as_bytes("x"));
//   absl::StatusOr<size_t> count = co_await pipe->reader.read(weir::writable_bytes(text));   // 0 once all writers are closed
//
// Both ends are close-on-exec; hand a number to a child with dup2(2). from_fd() takes over an end that somebody else made,
// or a FIFO or terminal; O_NONBLOCK is taken off it.
// Threads, cancelling, errors, cost: as io/socket_stream.h says. SIGPIPE is never raised in weir's tasks: writing with
// no reader left is EPIPE.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/bytes.h"
#include "weir/runtime/task.h"

namespace weir {
namespace internal {

class PipeEnd {
 public:
  Task<absl::Status> close() { return descriptor_.close("close pipe"); }
  int fd() const noexcept { return descriptor_.fd(); }  // -1 when closed
  // The number, for the caller to keep. std::logic_error while operations are in flight.
  int release() { return descriptor_.release(); }

 protected:
  explicit PipeEnd(int fd);
  ~PipeEnd() = default;
  PipeEnd(PipeEnd&&) noexcept = default;
  PipeEnd& operator=(PipeEnd&&) noexcept = default;

  DescriptorRef<Descriptor> held(std::string_view what) const { return DescriptorRef<Descriptor>(descriptor_.get(what)); }

 private:
  friend struct DescriptorAccess;
  OwnedDescriptor descriptor_;
};

}  // namespace internal

class PipeReader : public internal::PipeEnd {
 public:
  static PipeReader from_fd(int fd) { return PipeReader(fd); }

  // At most data.size() bytes, as soon as there are any; 0 at the end (and for an empty span).
  Task<absl::StatusOr<std::size_t>> read(absl::Span<std::byte> data);
  // All of it. An early end is kOutOfRange.
  Task<absl::Status> read_exact(absl::Span<std::byte> data);

 private:
  explicit PipeReader(int fd) : PipeEnd(fd) {}
};

class PipeWriter : public internal::PipeEnd {
 public:
  static PipeWriter from_fd(int fd) { return PipeWriter(fd); }

  Task<absl::StatusOr<std::size_t>> write(absl::Span<const std::byte> data);
  Task<absl::Status> write_all(absl::Span<const std::byte> data);

 private:
  explicit PipeWriter(int fd) : PipeEnd(fd) {}
};

class Pipe {
 public:
  // Needs no loop.
  static absl::StatusOr<Pipe> create();

  PipeReader reader;
  PipeWriter writer;

 private:
  Pipe(PipeReader first, PipeWriter second) noexcept : reader(std::move(first)), writer(std::move(second)) {}
};

}  // namespace weir
