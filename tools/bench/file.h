// A file to read from: written once, unlinked at once. The sides of a row share one, as where its pages lie in memory
// decides how fast they are copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>

namespace weir::bench {

inline constexpr size_t kBlockBytes = 4096;

class BenchFile {
 public:
  // In $TEST_TMPDIR, else in the working folder; `extra_flags` such as O_DIRECT. One for each set of flags, as long as
  // somebody has it. Throws std::system_error.
  static std::shared_ptr<const BenchFile> get(int extra_flags = 0);
  BenchFile(const BenchFile&) = delete;
  BenchFile& operator=(const BenchFile&) = delete;
  ~BenchFile();

  int fd() const { return fd_; }

  uint64_t random_offset(std::minstd_rand& random) const { return random() % kBlocks * kBlockBytes; }

 private:
  explicit BenchFile(int extra_flags);

  static constexpr uint64_t kBlocks = 4096;  // 16 MiB
  int fd_;
};

}  // namespace weir::bench
