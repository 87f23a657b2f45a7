// FileStat: what the kernel knows of a file (statx(2)). A value; any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>

#include "absl/time/time.h"

namespace weir {

class FileStat {
 public:
  FileStat() noexcept : raw_() {}
  explicit FileStat(const struct statx& raw) noexcept : raw_(raw) {}

  uint64_t size() const noexcept { return raw_.stx_size; }                    // bytes; 0 for a device
  uint64_t allocated() const noexcept { return raw_.stx_blocks * uint64_t{512}; }  // bytes on disk
  mode_t mode() const noexcept { return raw_.stx_mode; }                      // type and permissions
  uid_t user() const noexcept { return raw_.stx_uid; }
  gid_t group() const noexcept { return raw_.stx_gid; }
  uint64_t inode() const noexcept { return raw_.stx_ino; }
  uint32_t links() const noexcept { return raw_.stx_nlink; }

  bool is_file() const noexcept { return S_ISREG(raw_.stx_mode); }
  bool is_directory() const noexcept { return S_ISDIR(raw_.stx_mode); }
  bool is_symlink() const noexcept { return S_ISLNK(raw_.stx_mode); }
  bool is_block_device() const noexcept { return S_ISBLK(raw_.stx_mode); }

  absl::Time accessed() const { return time_of(raw_.stx_atime); }
  absl::Time modified() const { return time_of(raw_.stx_mtime); }
  absl::Time changed() const { return time_of(raw_.stx_ctime); }

  const struct statx& raw() const noexcept { return raw_; }

 private:
  static absl::Time time_of(const struct statx_timestamp& time) {
    return absl::FromUnixSeconds(time.tv_sec) + absl::Nanoseconds(time.tv_nsec);
  }

  struct statx raw_;
};

}  // namespace weir
