// splice, send_file: bytes from one descriptor to another inside the kernel, without a copy in the program.
//
//   absl::StatusOr<uint64_t> sent = co_await weir::send_file(stream, file, 0);          // to the end of the file
//   absl::StatusOr<uint64_t> moved = co_await weir::splice(child.output(), weir::SpliceTarget(log, offset));
//
// From a pipe or a file, to a pipe, a file or a socket; it goes on after short ones until `count` bytes are there or the
// source has ended, and gives how many were moved. Where the kernel cannot (a file opened with O_APPEND, some file systems:
// EINVAL), it reads and writes instead; from a socket it always does, as a splice would hold a thread of the kernel for as
// long as the peer is silent.
//
// Threads: the loop's. Both ends stay open, and where they are, until the co_await has ended; closing one ends it with
// kCancelled.
// Cancelling: the request is cancelled and waited for. After a cancel or an error up to 64 KiB that were taken from a pipe
// or a socket may not have arrived.
// Errors: a Status that names both ends and errno. Cost: two requests for 64 KiB, done by a worker thread of the kernel,
// which waits there while the target is full; a pipe for the time of the call.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "weir/runtime/io/file.h"
#include "weir/runtime/io/pipe.h"
#include "weir/runtime/io/socket_stream.h"
#include "weir/runtime/task.h"

namespace weir {
namespace internal {

// A place in a file.
class FileAt {
 public:
  FileAt(const File& at, uint64_t start) noexcept : file(&at), offset(start) {}
  const File* file;
  uint64_t offset;
};

class Splicing;

}  // namespace internal

class SpliceSource {
 public:
  SpliceSource(PipeReader& pipe) noexcept : end_(&pipe) {}                      // NOLINT: an end converts
  SpliceSource(const File& file, uint64_t offset) noexcept : end_(internal::FileAt(file, offset)) {}
  SpliceSource(internal::SocketStream& stream) noexcept : end_(&stream) {}      // NOLINT: likewise

 private:
  friend class internal::Splicing;
  std::variant<PipeReader*, internal::FileAt, internal::SocketStream*> end_;
};

class SpliceTarget {
 public:
  SpliceTarget(PipeWriter& pipe) noexcept : end_(&pipe) {}                      // NOLINT: an end converts
  SpliceTarget(const File& file, uint64_t offset) noexcept : end_(internal::FileAt(file, offset)) {}
  SpliceTarget(internal::SocketStream& stream) noexcept : end_(&stream) {}      // NOLINT: likewise

 private:
  friend class internal::Splicing;
  std::variant<PipeWriter*, internal::FileAt, internal::SocketStream*> end_;
};

inline constexpr uint64_t kToTheEnd = ~uint64_t{0};

// Bytes moved; fewer than `count` only at the end of the source.
Task<absl::StatusOr<uint64_t>> splice(SpliceSource from, SpliceTarget to, uint64_t count = kToTheEnd);

// A part of a file into a TcpStream or UnixStream.
Task<absl::StatusOr<uint64_t>> send_file(internal::SocketStream& to, const File& from, uint64_t offset, uint64_t count = kToTheEnd);

}  // namespace weir
