#include "weir/runtime/io/file.h"

#include <linux/falloc.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/opcodes.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir {
namespace internal {
namespace {

absl::string_view as_absl(std::string_view text) { return {text.data(), text.size()}; }

// Files and block devices answer by themselves; FIFOs, terminals and other devices may wait for ever.
Descriptor::Kind kind_of(int fd, Kernel& kernel) noexcept {
  const int mode = kernel.file_mode(fd);
  const bool device = mode >= 0 && (S_ISREG(mode) || S_ISBLK(mode) || S_ISDIR(mode));
  return device ? Descriptor::Kind::kDevice : Descriptor::Kind::kPeer;
}

}  // namespace

class OpenFile final : public Descriptor {
 public:
  OpenFile(int fd, Kernel& kernel, int flags, std::string path)
      : Descriptor(fd, kind_of(fd, kernel), kernel), path_(std::move(path)), direct_((flags & O_DIRECT) != 0) {}

  std::string what(std::string_view operation) const { return absl::StrCat(as_absl(operation), " ", path_); }

  // `result` is negative. A request that a worker of the kernel had begun says EINTR when close() interrupts it.
  absl::Status failed(std::string_view operation, int result) const {
    return errno_status(closing() && result == -EINTR ? ECANCELED : -result, what(operation));
  }

  bool direct() const noexcept { return direct_; }
  int sync_failure() const noexcept { return sync_failure_; }
  void note_sync(int result) noexcept {
    if (result < 0 && result != -ECANCELED && result != -EINTR) sync_failure_ = result;
  }

 private:
  ~OpenFile() override = default;

  const std::string path_;
  const bool direct_;
  int sync_failure_ = 0;  // of the first fsync or fdatasync that failed; negative
};

namespace {

using FileRef = DescriptorRef<OpenFile>;

constexpr int kPlain = -1;  // a slot: memory that is not registered

// `slot` in the ring's table of registered memory, or kPlain.
auto read_request(OpenFile& file, absl::Span<std::byte> data, uint64_t offset, int slot = kPlain) {
  return descriptor_operation(file, [data, offset, slot](io_uring_sqe* sqe, int fd) noexcept {
    const unsigned size = transfer_size(data.size());
    if (slot == kPlain) return io_uring_prep_read(sqe, fd, data.data(), size, offset);
    io_uring_prep_read_fixed(sqe, fd, data.data(), size, offset, slot);
  });
}

auto write_request(OpenFile& file, absl::Span<const std::byte> data, uint64_t offset, int slot = kPlain) {
  return descriptor_operation(file, [data, offset, slot](io_uring_sqe* sqe, int fd) noexcept {
    const unsigned size = transfer_size(data.size());
    if (slot == kPlain) return io_uring_prep_write(sqe, fd, data.data(), size, offset);
    io_uring_prep_write_fixed(sqe, fd, data.data(), size, offset, slot);
  });
}

Task<absl::StatusOr<FileStat>> stat_file(FileRef file) {
  struct statx raw {};
  const int result = co_await descriptor_operation(*file, [&raw](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_statx(sqe, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &raw);
  });
  if (result < 0) co_return file->failed("statx", result);
  co_return FileStat(raw);
}

Task<absl::StatusOr<uint64_t>> size_of(FileRef file) {
  absl::StatusOr<FileStat> stat = co_await stat_file(file);
  if (!stat.ok()) co_return stat.status();
  if (!stat->is_block_device()) co_return stat->size();
  uint64_t size = 0;
  const int result = file->kernel().block_device_size(file->fd(), &size);
  if (result < 0) co_return file->failed("ioctl BLKGETSIZE64", result);
  co_return size;
}

Task<absl::StatusOr<IoAlignment>> alignment_of(FileRef file) {
  absl::StatusOr<FileStat> stat = co_await stat_file(file);
  if (!stat.ok()) co_return stat.status();
  const struct statx& raw = stat->raw();
  if ((raw.stx_mask & STATX_DIOALIGN) == 0) co_return IoAlignment(raw.stx_blksize, raw.stx_blksize);
  if (raw.stx_dio_offset_align == 0) {
    co_return absl::UnimplementedError(absl::StrCat(file->what("O_DIRECT"), ": this file cannot be read or written past the page cache"));
  }
  co_return IoAlignment(raw.stx_dio_mem_align, raw.stx_dio_offset_align);
}

// The status of a read or write that failed; of a misaligned one it says what is wrong.
Task<absl::Status> access_failed(FileRef file, std::string_view operation, int result, const void* data, std::size_t size,
                                 uint64_t offset) {
  if (result != -EINVAL || !file->direct()) co_return file->failed(operation, result);
  absl::StatusOr<IoAlignment> required = co_await alignment_of(file);
  std::string what = absl::StrCat(file->what(operation), " (O_DIRECT, offset ", offset, ", length ", size, ", address 0x",
                                  absl::Hex(reinterpret_cast<uintptr_t>(data)));
  if (required.ok()) {
    absl::StrAppend(&what, "; offset and length must be multiples of ", required->offset, ", the address of ", required->memory);
  }
  what += ")";
  co_return errno_status(-result, what);
}

Task<absl::StatusOr<std::size_t>> read_some(FileRef file, absl::Span<std::byte> data, uint64_t offset, int slot = kPlain) {
  const int result = co_await read_request(*file, data, offset, slot);
  if (result < 0) co_return co_await access_failed(file, "read", result, data.data(), data.size(), offset);
  co_return static_cast<std::size_t>(result);
}

Task<absl::StatusOr<std::size_t>> write_some(FileRef file, absl::Span<const std::byte> data, uint64_t offset, int slot = kPlain) {
  const int result = co_await write_request(*file, data, offset, slot);
  if (result < 0) co_return co_await access_failed(file, "write", result, data.data(), data.size(), offset);
  co_return static_cast<std::size_t>(result);
}

Task<absl::StatusOr<std::size_t>> readv_some(FileRef file, absl::Span<const absl::Span<std::byte>> parts, uint64_t offset) {
  IoVectors vectors(parts);
  const int result = co_await descriptor_operation(*file, [&vectors, offset](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_readv(sqe, fd, vectors.data(), vectors.count(), offset);
  });
  if (result < 0) co_return co_await access_failed(file, "readv", result, vectors.data()->iov_base, vectors.size(), offset);
  co_return static_cast<std::size_t>(result);
}

Task<absl::StatusOr<std::size_t>> writev_some(FileRef file, absl::Span<const absl::Span<const std::byte>> parts, uint64_t offset) {
  IoVectors vectors(parts);
  const int result = co_await descriptor_operation(*file, [&vectors, offset](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_writev(sqe, fd, vectors.data(), vectors.count(), offset);
  });
  if (result < 0) co_return co_await access_failed(file, "writev", result, vectors.data()->iov_base, vectors.size(), offset);
  co_return static_cast<std::size_t>(result);
}

Task<absl::Status> read_exact(FileRef file, absl::Span<std::byte> data, uint64_t offset) {
  std::size_t done = 0;
  while (done < data.size()) {
    int result = co_await read_request(*file, data.subspan(done), offset + done);
    if (result == -EINVAL && done != 0 && file->direct()) {
      // The last block of a file may be short, and what follows it misaligned: that is its end.
      absl::StatusOr<uint64_t> size = co_await size_of(file);
      if (size.ok() && offset + done >= *size) result = 0;
    }
    if (result < 0) co_return co_await access_failed(file, "read", result, data.data() + done, data.size() - done, offset + done);
    if (result == 0) {
      co_return absl::OutOfRangeError(absl::StrCat(file->what("read"), ": end of file after ", done, " of ", data.size(),
                                                   " bytes at offset ", offset));
    }
    done += static_cast<std::size_t>(result);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> write_all(FileRef file, absl::Span<const std::byte> data, uint64_t offset) {
  std::size_t done = 0;
  while (done < data.size()) {
    const int result = co_await write_request(*file, data.subspan(done), offset + done);
    if (result < 0) co_return co_await access_failed(file, "write", result, data.data() + done, data.size() - done, offset + done);
    if (result == 0) co_return file->failed("write", -EIO);  // no progress, and no reason given
    done += static_cast<std::size_t>(result);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> sync(FileRef file, std::string_view operation, unsigned flags) {
  if (file->sync_failure() != 0) co_return file->failed(operation, file->sync_failure());
  const int result = co_await descriptor_operation(
      *file, [flags](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_fsync(sqe, fd, flags); });
  file->note_sync(result);
  if (result < 0) co_return file->failed(operation, result);
  co_return absl::OkStatus();
}

Task<absl::Status> change_space(FileRef file, int mode, uint64_t offset, uint64_t size) {
  const int result = co_await descriptor_operation(*file, [mode, offset, size](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_fallocate(sqe, fd, mode, static_cast<off_t>(offset), static_cast<off_t>(size));
  });
  if (result < 0) co_return file->failed("fallocate", result);
  co_return absl::OkStatus();
}

Task<absl::Status> cut(FileRef file, uint64_t size) {
  const int result = co_await descriptor_operation(
      *file, [size](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_rw(kOpFtruncate, sqe, fd, nullptr, 0, size); });
  if (result < 0) co_return file->failed("ftruncate", result);
  co_return absl::OkStatus();
}

}  // namespace
}  // namespace internal

File::File(internal::OpenFile* file) noexcept : descriptor_(file) {}

internal::DescriptorRef<internal::OpenFile> File::held(std::string_view what) const {
  return internal::DescriptorRef<internal::OpenFile>(static_cast<internal::OpenFile&>(descriptor_.get(what)));
}

Task<absl::StatusOr<File>> File::open(std::string path, int flags, mode_t mode) {
  flags |= O_CLOEXEC;
  // With O_CREAT the opening of a FIFO waits for a peer.
  const int fd = co_await internal::peer_operation([&path, flags, mode](io_uring_sqe* sqe) noexcept {
    io_uring_prep_openat(sqe, AT_FDCWD, path.c_str(), flags, mode);
  });
  if (fd < 0) co_return internal::errno_status(-fd, absl::StrCat("openat ", path));
  co_return File(new internal::OpenFile(fd, internal::current_kernel(), flags, std::move(path)));
}

File File::from_fd(int fd, std::string_view name) {
  internal::Kernel& kernel = internal::current_kernel();
  const int flags = kernel.get_flags(fd);
  std::string path = name.empty() ? absl::StrCat("fd ", fd) : std::string(name);
  auto* const file = new internal::OpenFile(fd, kernel, flags < 0 ? 0 : flags, std::move(path));
  if (flags >= 0 && (flags & O_NONBLOCK) && file->kind() == internal::Descriptor::Kind::kPeer) kernel.set_flags(fd, flags & ~O_NONBLOCK);
  return File(file);
}

Task<absl::StatusOr<std::size_t>> File::read_at(absl::Span<std::byte> data, uint64_t offset) const {
  return internal::read_some(held("File::read_at"), data, offset);
}
Task<absl::StatusOr<std::size_t>> File::write_at(absl::Span<const std::byte> data, uint64_t offset) const {
  return internal::write_some(held("File::write_at"), data, offset);
}
Task<absl::StatusOr<std::size_t>> File::read_at(Buffer& buffer, uint64_t offset) const {
  return internal::read_some(held("File::read_at"), buffer.span(), offset, internal::BufferAccess::registered_slot(buffer));
}
Task<absl::StatusOr<std::size_t>> File::write_at(const Buffer& buffer, uint64_t offset) const {
  return internal::write_some(held("File::write_at"), buffer.span(), offset, internal::BufferAccess::registered_slot(buffer));
}
Task<absl::StatusOr<std::size_t>> File::readv_at(absl::Span<const absl::Span<std::byte>> parts, uint64_t offset) const {
  return internal::readv_some(held("File::readv_at"), parts, offset);
}
Task<absl::StatusOr<std::size_t>> File::writev_at(absl::Span<const absl::Span<const std::byte>> parts, uint64_t offset) const {
  return internal::writev_some(held("File::writev_at"), parts, offset);
}
Task<absl::Status> File::read_exact_at(absl::Span<std::byte> data, uint64_t offset) const {
  return internal::read_exact(held("File::read_exact_at"), data, offset);
}
Task<absl::Status> File::write_all_at(absl::Span<const std::byte> data, uint64_t offset) const {
  return internal::write_all(held("File::write_all_at"), data, offset);
}
Task<absl::Status> File::fsync() const { return internal::sync(held("File::fsync"), "fsync", 0); }
Task<absl::Status> File::fdatasync() const {
  return internal::sync(held("File::fdatasync"), "fdatasync", IORING_FSYNC_DATASYNC);
}
Task<absl::Status> File::allocate(uint64_t offset, uint64_t size) const {
  return internal::change_space(held("File::allocate"), 0, offset, size);
}
Task<absl::Status> File::punch_hole(uint64_t offset, uint64_t size) const {
  return internal::change_space(held("File::punch_hole"), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
}
Task<absl::Status> File::truncate(uint64_t size) const { return internal::cut(held("File::truncate"), size); }
Task<absl::StatusOr<uint64_t>> File::size() const { return internal::size_of(held("File::size")); }
Task<absl::StatusOr<FileStat>> File::stat() const { return internal::stat_file(held("File::stat")); }
Task<absl::StatusOr<IoAlignment>> File::io_alignment() const { return internal::alignment_of(held("File::io_alignment")); }

Task<absl::Status> File::close() {
  if (descriptor_.get_or_null() == nullptr) return descriptor_.close("close");
  return descriptor_.close(held("File::close")->what("close"));
}

}  // namespace weir
