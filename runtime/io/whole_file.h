// read_file and write_file: a file as one string.
//
//   absl::StatusOr<std::string> text = co_await weir::read_file("/etc/hosts");
//   absl::Status status = co_await weir::write_file("/var/x", text);
//
// Loop's thread. Errors: a Status that names operation, path and errno. Cancelling: what runs is cancelled and waited for.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/runtime/task.h"

namespace weir {

// All that is in it, also of a file without a size (/proc).
Task<absl::StatusOr<std::string>> read_file(std::string path);

// At once and for good: a reader, and a machine that loses power, sees the old file or the new one, whole. The data is
// written to a temporary file beside it and synced, the file renamed, the folder synced. After an error or a cancel the old
// file stands (or, if only the last sync failed, the new one), and no temporary is left. `data` must stay valid until the
// co_await has ended. A file that is replaced loses its owner, permissions and other names: the new one has `mode`.
Task<absl::Status> write_file(std::string path, std::string_view data, mode_t mode = 0644);

}  // namespace weir
