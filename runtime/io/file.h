// File: a file, a block device, or whatever else a path opens, read and written at offsets.
//
//   absl::StatusOr<weir::File> file = co_await weir::File::open("/var/log/x", O_RDONLY);
//   if (!file.ok()) co_return file.status();                       // "openat /var/log/x: No such file or directory"
//   absl::StatusOr<size_t> count = co_await file->read_at(weir::writable_bytes(text), 0);
//
// Threads: one loop at a time (see runtime/descriptor.h); it may be dropped on any thread. Spans must stay valid until
// the co_await has ended. Closing, or dropping the File, cancels what is in flight on it (kCancelled).
// Cancelling: the request is cancelled and waited for. One that has done its work gives its result: a file that was opened
// in spite of the cancel is returned, or closed.
// Errors: a Status that names operation, path and errno. A File that was closed or moved from: std::logic_error.
// Cost: a Task's frame a call, and no system call of its own; open() makes one, to learn what it has opened. Buffered
// writes on ext4 go to a worker thread of the kernel; O_DIRECT ones do not, but never mix both on one file.
#pragma once

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/buffer.h"
#include "weir/runtime/io/bytes.h"
#include "weir/runtime/io/file_stat.h"
#include "weir/runtime/io/path.h"        // IWYU pragma: export
#include "weir/runtime/io/whole_file.h"  // IWYU pragma: export
#include "weir/runtime/task.h"

namespace weir {

// What O_DIRECT demands, in bytes: of the address of memory, and of offset and length.
class IoAlignment {
 public:
  IoAlignment(std::size_t memory_bytes, std::size_t offset_bytes) noexcept : memory(memory_bytes), offset(offset_bytes) {}
  std::size_t memory;
  std::size_t offset;
};

namespace internal {
class OpenFile;
struct DescriptorAccess;
}

class File {
 public:
  // open(2), with O_CLOEXEC always. The kernel's ring opens a FIFO without waiting for its other end, as O_NONBLOCK does:
  // for reading at once, and a read gives 0 until a writer has come; for writing without a reader it is ENXIO.
  static Task<absl::StatusOr<File>> open(std::string path, int flags, mode_t mode = 0644);

  // Takes over `fd`; `name` stands for the path in messages. O_NONBLOCK is taken off what waits for a peer (a pipe, a
  // terminal): on those the ring would answer EAGAIN instead of waiting. Needs no loop.
  static File from_fd(int fd, std::string_view name = {});

  // One read or write; may be short. 0 at the end of the file.
  Task<absl::StatusOr<std::size_t>> read_at(absl::Span<std::byte> data, uint64_t offset) const;
  Task<absl::StatusOr<std::size_t>> write_at(absl::Span<const std::byte> data, uint64_t offset) const;
  // The buffer's size() bytes; it stays valid until the co_await has ended. Of a registered BufferPool of this loop the
  // kernel need not map the memory again.
  Task<absl::StatusOr<std::size_t>> read_at(Buffer& buffer, uint64_t offset) const;
  Task<absl::StatusOr<std::size_t>> write_at(const Buffer& buffer, uint64_t offset) const;
  Task<absl::StatusOr<std::size_t>> readv_at(absl::Span<const absl::Span<std::byte>> parts, uint64_t offset) const;
  Task<absl::StatusOr<std::size_t>> writev_at(absl::Span<const absl::Span<const std::byte>> parts, uint64_t offset) const;

  // All of it. An early end of the file is kOutOfRange.
  Task<absl::Status> read_exact_at(absl::Span<std::byte> data, uint64_t offset) const;
  Task<absl::Status> write_all_at(absl::Span<const std::byte> data, uint64_t offset) const;

  // What was written is on the disk (fdatasync: and can be read again). After a failure each later fsync and fdatasync of
  // this File reports it again: the kernel tells it once, and then calls the pages it could not write clean, so that a
  // second one would succeed without the data. Write it again through a new File.
  Task<absl::Status> fsync() const;
  Task<absl::Status> fdatasync() const;

  // Space for `size` bytes at `offset`; the file grows if need be.
  Task<absl::Status> allocate(uint64_t offset, uint64_t size) const;
  // Gives the space back: the bytes are zero, the size stays.
  Task<absl::Status> punch_hole(uint64_t offset, uint64_t size) const;
  // Cuts, or grows with zeros. Before Linux 6.9 a job of the loop's executor; without one kUnimplemented.
  Task<absl::Status> truncate(uint64_t size) const;

  // Bytes; of a block device, the device's.
  Task<absl::StatusOr<uint64_t>> size() const;
  Task<absl::StatusOr<FileStat>> stat() const;
  // For O_DIRECT. kUnimplemented when the file cannot have it. Where the kernel does not say (before 6.1, and some file
  // systems), the block size of the file system, which is enough for both.
  Task<absl::StatusOr<IoAlignment>> io_alignment() const;

  // Cancels what is in flight, waits for it, closes. Idempotent.
  Task<absl::Status> close();

  int fd() const noexcept { return descriptor_.fd(); }  // -1 when closed
  // The number, for the caller to keep. std::logic_error while operations are in flight.
  int release() { return descriptor_.release(); }

 private:
  friend struct internal::DescriptorAccess;
  explicit File(internal::OpenFile* file) noexcept;
  internal::DescriptorRef<internal::OpenFile> held(std::string_view what) const;

  internal::OwnedDescriptor descriptor_;
};

}  // namespace weir
