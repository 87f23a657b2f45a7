// Reads of files: from the page cache, and past it.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "weir/runtime/io/file.h"
#include "weir/runtime/spawn.h"
#include "weir/tools/bench/file.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {

BenchFile::BenchFile(int extra_flags) {
  const char* folder = std::getenv("TEST_TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : ".") + "/weir-bench-XXXXXX";
  const int writable = mkostemp(path.data(), O_CLOEXEC);
  if (writable < 0) throw std::system_error(errno, std::generic_category(), path);
  const std::vector<char> block(kBlockBytes, 'w');
  bool written = true;
  for (uint64_t i = 0; i < kBlocks && written; ++i) {
    written = pwrite(writable, block.data(), block.size(), static_cast<off_t>(i * kBlockBytes)) == static_cast<ssize_t>(block.size());
  }
  written = written && fsync(writable) == 0;
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | extra_flags);
  const int error = errno;
  ::unlink(path.c_str());
  ::close(writable);
  if (!written || fd_ < 0) throw std::system_error(error, std::generic_category(), path);
}

BenchFile::~BenchFile() { close(fd_); }

namespace {

class Reads final : public Side {
 public:
  Reads(unsigned depth, int extra_flags) : depth_(depth), source_(extra_flags) {}

  Measured run(uint64_t count) override {
    const uint64_t before = system_calls(*loop_);
    Measured measured = time_of(count, [&] { loop_->run(read_side_by_side(count)); });
    measured.value = measured.cpu_ns;
    measured.calls = static_cast<double>(system_calls(*loop_) - before) / static_cast<double>(count);
    return measured;
  }

 private:
  Task<> read_side_by_side(uint64_t count) {
    std::vector<Task<>> readers;
    for (unsigned i = 0; i < depth_; ++i) readers.push_back(read(count / depth_ + (i < count % depth_)));
    co_await gather(std::move(readers));
  }

  Task<> read(uint64_t count) {
    const std::unique_ptr<std::byte, decltype(&std::free)> block(
        static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, kBlockBytes)), std::free);
    const absl::Span<std::byte> bytes(block.get(), kBlockBytes);
    for (uint64_t i = 0; i < count; ++i) {
      const absl::StatusOr<size_t> got = co_await file_.read_at(bytes, source_.random_offset(random_));
      if (!got.ok() || *got != kBlockBytes) throw std::runtime_error("a read has failed");
    }
  }

  const unsigned depth_;
  BenchFile source_;
  File file_ = File::from_fd(::dup(source_.fd()), "bench");
  std::minstd_rand random_;
  std::unique_ptr<Loop> loop_ = make_loop();
};

MakeSide reads(unsigned depth, int extra_flags = 0) {
  return [depth, extra_flags] { return std::make_unique<Reads>(depth, extra_flags); };
}

}  // namespace

void add_file_rows(Rows& rows) {
  rows.push_back({.name = "read/1", .what = "random reads of 4 KiB from the page cache, one at a time, CPU", .goals = {.ratio = 1.08},
                  .sides = {{"weir", reads(1)}, {"raw", raw::reads(1, false, 0)}}});
  rows.push_back({.name = "read/32", .what = "the same, 32 in flight", .goals = {.ratio = 1.05},
                  .sides = {{"weir", reads(32)}, {"raw", raw::reads(32, false, 0)}}});
  rows.push_back({.name = "read/direct", .what = "random O_DIRECT reads of 4 KiB, 32 in flight, CPU", .goals = {.ratio = 1.08},
                  .sides = {{"weir", reads(32, O_DIRECT)}, {"raw", raw::reads(32, false, O_DIRECT)}}});
}

}  // namespace weir::bench
