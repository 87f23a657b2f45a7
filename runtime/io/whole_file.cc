#include "weir/runtime/io/whole_file.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/file.h"
#include "weir/runtime/io/path.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/status.h"

namespace weir {
namespace {

constexpr std::size_t kFirstRead = 4096;  // of a file that has no size
constexpr int kNamesTried = 100;

// A name beside `path` that nobody else is likely to use; O_EXCL finds out.
std::string temporary_name(const std::string& path, internal::Kernel& kernel) {
  static std::atomic<uint32_t> count{0};
  const auto time = static_cast<uint64_t>(kernel.realtime_ns());
  const uint32_t number = count.fetch_add(1, std::memory_order_relaxed);  // only a number
  return absl::StrCat(path, ".", absl::Hex(time), ".", number, ".tmp");
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A temporary file, gone at the end of the scope unless it was renamed. By a system call, as a destructor cannot await.
class Temporary {
 public:
  Temporary(std::string path, internal::Kernel& kernel) : path_(std::move(path)), kernel_(kernel) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (there_) kernel_.unlink(path_.c_str());
  }
  const std::string& path() const noexcept { return path_; }
  void renamed() noexcept { there_ = false; }

 private:
  const std::string path_;
  internal::Kernel& kernel_;
  bool there_ = true;
};

Task<absl::Status> sync_folder(std::string path) {
  absl::StatusOr<File> folder = co_await File::open(std::move(path), O_RDONLY | O_DIRECTORY);
  if (!folder.ok()) co_return folder.status();
  const absl::Status synced = co_await folder->fsync();
  if (!synced.ok() && status_errno(synced) != EINVAL) co_return synced;  // EINVAL: this file system syncs no folders
  co_return co_await folder->close();
}

Task<absl::Status> fill_and_close(File& file, std::string_view data) {
  if (const absl::Status written = co_await file.write_all_at(as_bytes(data), 0); !written.ok()) co_return written;
  if (const absl::Status synced = co_await file.fsync(); !synced.ok()) co_return synced;
  co_return co_await file.close();
}

}  // namespace

Task<absl::StatusOr<std::string>> read_file(std::string path) {
  absl::StatusOr<File> file = co_await File::open(path, O_RDONLY);
  if (!file.ok()) co_return file.status();
  const absl::StatusOr<uint64_t> size = co_await file->size();
  if (!size.ok()) co_return size.status();
  std::string text;
  std::size_t done = 0;
  for (;;) {
    // A byte more than the size: the read that fills it, short, may be the last; the next one says the end.
    if (done == text.size()) text.resize(done == 0 ? std::max<std::size_t>(*size + 1, kFirstRead) : 2 * done);
    const absl::StatusOr<std::size_t> count = co_await file->read_at(writable_bytes(text).subspan(done), done);
    if (!count.ok()) co_return count.status();
    if (*count == 0) break;
    done += *count;
  }
  text.resize(done);
  if (const absl::Status closed = co_await file->close(); !closed.ok()) co_return closed;
  co_return text;
}

Task<absl::Status> write_file(std::string path, std::string_view data, mode_t mode) {
  internal::Kernel& kernel = internal::current_kernel();
  for (int tried = 0;; ++tried) {
    const std::string name = temporary_name(path, kernel);
    absl::StatusOr<File> file = co_await File::open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (status_errno(file.status()) == EEXIST && tried < kNamesTried) continue;
    if (!file.ok()) co_return file.status();
    Temporary temporary(name, kernel);
    if (const absl::Status filled = co_await fill_and_close(*file, data); !filled.ok()) co_return filled;
    if (const absl::Status moved = co_await rename(name, path); !moved.ok()) co_return moved;
    temporary.renamed();
    co_return co_await sync_folder(folder_of(path));
  }
}

}  // namespace weir
