#include "weir/runtime/io/path.h"

#include <dirent.h>
#include <fcntl.h>

#include <cstddef>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/file.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"
#include "weir/runtime/time.h"

namespace weir {
namespace {

absl::Status status_of(int result, std::string_view operation, const std::string& path) {
  if (result >= 0) return absl::OkStatus();
  return internal::errno_status(-result, absl::StrCat(absl::string_view(operation.data(), operation.size()), " ", path));
}

std::string both(const std::string& from, const std::string& to) { return absl::StrCat(from, " to ", to); }

DirectoryEntry::Type type_of(unsigned char type) noexcept {
  switch (type) {
    case DT_UNKNOWN: return DirectoryEntry::Type::kUnknown;
    case DT_REG: return DirectoryEntry::Type::kFile;
    case DT_DIR: return DirectoryEntry::Type::kDirectory;
    case DT_LNK: return DirectoryEntry::Type::kSymlink;
    default: return DirectoryEntry::Type::kOther;
  }
}

void append_entries(const std::byte* data, std::size_t size, std::vector<DirectoryEntry>& entries) {
  for (std::size_t at = 0; at < size;) {
    // The kernel aligns each entry for its first member.
    const auto* const entry = reinterpret_cast<const dirent64*>(data + at);
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") entries.emplace_back(std::string(name), type_of(entry->d_type));
    at += entry->d_reclen;
  }
}

}  // namespace

Task<absl::Status> rename(std::string from, std::string to) {
  const int result = co_await internal::plain_operation([&from, &to](io_uring_sqe* sqe) noexcept {
    io_uring_prep_renameat(sqe, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0);
  });
  co_return status_of(result, "renameat", both(from, to));
}

Task<absl::Status> unlink(std::string path) {
  const int result = co_await internal::plain_operation(
      [&path](io_uring_sqe* sqe) noexcept { io_uring_prep_unlinkat(sqe, AT_FDCWD, path.c_str(), 0); });
  co_return status_of(result, "unlinkat", path);
}

Task<absl::Status> mkdir(std::string path, mode_t mode) {
  const int result = co_await internal::plain_operation(
      [&path, mode](io_uring_sqe* sqe) noexcept { io_uring_prep_mkdirat(sqe, AT_FDCWD, path.c_str(), mode); });
  co_return status_of(result, "mkdirat", path);
}

Task<absl::Status> rmdir(std::string path) {
  const int result = co_await internal::plain_operation(
      [&path](io_uring_sqe* sqe) noexcept { io_uring_prep_unlinkat(sqe, AT_FDCWD, path.c_str(), AT_REMOVEDIR); });
  co_return status_of(result, "rmdir", path);
}

Task<absl::Status> symlink(std::string target, std::string path) {
  const int result = co_await internal::plain_operation([&target, &path](io_uring_sqe* sqe) noexcept {
    io_uring_prep_symlinkat(sqe, target.c_str(), AT_FDCWD, path.c_str());
  });
  co_return status_of(result, "symlinkat", path);
}

Task<absl::Status> link(std::string from, std::string to) {
  const int result = co_await internal::plain_operation([&from, &to](io_uring_sqe* sqe) noexcept {
    io_uring_prep_linkat(sqe, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0);
  });
  co_return status_of(result, "linkat", both(from, to));
}

Task<absl::StatusOr<FileStat>> stat(std::string path, Symlinks symlinks) {
  struct statx raw {};
  const int flags = symlinks == Symlinks::kShow ? AT_SYMLINK_NOFOLLOW : 0;
  const int result = co_await internal::plain_operation([&path, &raw, flags](io_uring_sqe* sqe) noexcept {
    io_uring_prep_statx(sqe, AT_FDCWD, path.c_str(), flags, STATX_BASIC_STATS, &raw);
  });
  if (result < 0) co_return status_of(result, "statx", path);
  co_return FileStat(raw);
}

Task<absl::StatusOr<std::vector<DirectoryEntry>>> read_dir(std::string path) {
  constexpr std::size_t kStep = 32 << 10;  // bytes of names
  absl::StatusOr<File> folder = co_await File::open(path, O_RDONLY | O_DIRECTORY);
  if (!folder.ok()) co_return folder.status();
  internal::Kernel& kernel = internal::current_kernel();
  const auto buffer = std::make_unique<std::byte[]>(kStep);
  std::vector<DirectoryEntry> entries;
  for (;;) {
    const int64_t size = kernel.list_directory(folder->fd(), buffer.get(), kStep);
    if (size < 0) co_return status_of(static_cast<int>(size), "getdents64", path);
    if (size == 0) break;
    append_entries(buffer.get(), static_cast<std::size_t>(size), entries);
    co_await yield();
  }
  if (const absl::Status closed = co_await folder->close(); !closed.ok()) co_return closed;
  co_return entries;
}

}  // namespace weir
