// What is done to paths: rename, unlink, mkdir, rmdir, symlink, link, stat, read_dir.
//
//   absl::Status status = co_await weir::rename("/var/x.new", "/var/x");
//
// Loop's thread. The strings are kept until the co_await has ended. Errors: a Status that names operation, path and errno
// ("unlinkat /x: No such file or directory"). Cancelling: the request is cancelled if it has not begun, else waited for; one
// that was done in spite of the cancel says so. Cost: a worker thread of the kernel does it; a Task's frame.
// Linux 5.15 or newer.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/runtime/io/file_stat.h"
#include "weir/runtime/task.h"

namespace weir {

// Replaces `to` at once, if it is there.
Task<absl::Status> rename(std::string from, std::string to);
Task<absl::Status> unlink(std::string path);
Task<absl::Status> mkdir(std::string path, mode_t mode = 0755);
Task<absl::Status> rmdir(std::string path);
// `path` then leads to `target`, which need not be there.
Task<absl::Status> symlink(std::string target, std::string path);
// A second name for a file.
Task<absl::Status> link(std::string from, std::string to);

enum class Symlinks { kFollow, kShow };
Task<absl::StatusOr<FileStat>> stat(std::string path, Symlinks symlinks = Symlinks::kFollow);

class DirectoryEntry {
 public:
  enum class Type { kUnknown, kFile, kDirectory, kSymlink, kOther };
  DirectoryEntry(std::string entry_name, Type entry_type) : name(std::move(entry_name)), type(entry_type) {}
  std::string name;  // without the folder
  Type type;         // kUnknown where the file system does not say: ask stat()
};

// What a folder holds but for "." and "..", in the order of the file system. The kernel has no such request: each 32 KiB
// of names are a system call on the loop's thread, which other tasks run between.
Task<absl::StatusOr<std::vector<DirectoryEntry>>> read_dir(std::string path);

}  // namespace weir
