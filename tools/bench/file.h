// A file to read from: written once, unlinked at once, opened by each side for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

namespace weir::bench {

inline constexpr size_t kBlockBytes = 4096;

class BenchFile {
 public:
  // In $TEST_TMPDIR, else in the working folder; `extra_flags` such as O_DIRECT. Throws std::system_error.
  explicit BenchFile(int extra_flags = 0);
  BenchFile(const BenchFile&) = delete;
  BenchFile& operator=(const BenchFile&) = delete;
  ~BenchFile();

  int fd() const { return fd_; }

  uint64_t random_offset(std::minstd_rand& random) const { return random() % kBlocks * kBlockBytes; }

 private:
  static constexpr uint64_t kBlocks = 4096;  // 16 MiB
  int fd_;
};

}  // namespace weir::bench
