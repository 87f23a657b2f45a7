// Reads of files: from the page cache, and past it.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "weir/runtime/io/buffer.h"
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

std::shared_ptr<const BenchFile> BenchFile::get(int extra_flags) {
  static std::map<int, std::weak_ptr<const BenchFile>> files;
  std::weak_ptr<const BenchFile>& known = files[extra_flags];
  std::shared_ptr<const BenchFile> file = known.lock();
  if (file == nullptr) known = file = std::shared_ptr<const BenchFile>(new BenchFile(extra_flags));
  return file;
}

BenchFile::~BenchFile() { close(fd_); }

namespace {

class Reads final : public Side {
 public:
  Reads(unsigned depth, bool registered, int extra_flags) : depth_(depth), source_(BenchFile::get(extra_flags)) {
    if (registered) pool_.emplace(BufferPool::create(*loop_, {.count = depth, .size = kBlockBytes}).value());
  }

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
    for (unsigned i = 0; i < depth_; ++i) {
      const uint64_t mine = count / depth_ + (i < count % depth_);
      readers.push_back(pool_ ? read_registered(mine) : read(mine));
    }
    co_await gather(std::move(readers));
  }

  Task<> read(uint64_t count) {
    const std::unique_ptr<std::byte, decltype(&std::free)> block(
        static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, kBlockBytes)), std::free);
    const absl::Span<std::byte> bytes(block.get(), kBlockBytes);
    for (uint64_t i = 0; i < count; ++i) {
      const absl::StatusOr<size_t> got = co_await file_.read_at(bytes, source_->random_offset(random_));
      if (!got.ok() || *got != kBlockBytes) throw std::runtime_error("a read has failed");
    }
  }

  Task<> read_registered(uint64_t count) {
    Buffer block = co_await pool_->acquire();
    for (uint64_t i = 0; i < count; ++i) {
      const absl::StatusOr<size_t> got = co_await file_.read_at(block, source_->random_offset(random_));
      if (!got.ok() || *got != kBlockBytes) throw std::runtime_error("a read has failed");
    }
  }

  const unsigned depth_;
  const std::shared_ptr<const BenchFile> source_;
  File file_ = File::from_fd(::dup(source_->fd()), "bench");
  std::minstd_rand random_;
  std::unique_ptr<Loop> loop_ = make_loop();
  std::optional<BufferPool> pool_;
};

MakeSide reads(unsigned depth, bool registered, int extra_flags) {
  return [=] { return std::make_unique<Reads>(depth, registered, extra_flags); };
}

Row read_row(const std::string& name, const std::string& what, unsigned depth, bool registered, int extra_flags, double goal) {
  Row row;
  row.name = name;
  row.what = what;
  row.goals.ratio = goal;
  row.sides = {{"weir", reads(depth, registered, extra_flags)}, {"raw", raw::reads(depth, registered, extra_flags)}};
  return row;
}

}  // namespace

void add_file_rows(Rows& rows) {
  rows.push_back(read_row("read/1", "random reads of 4 KiB from the page cache, one at a time, CPU", 1, false, 0, 1.08));
  rows.push_back(read_row("read/32", "the same, 32 in flight", 32, false, 0, 1.05));
  rows.push_back(read_row("read/1/registered", "one at a time, registered buffers", 1, true, 0, 1.08));
  rows.push_back(read_row("read/32/registered", "32 in flight, registered buffers", 32, true, 0, 1.05));
  rows.push_back(read_row("read/direct", "the same with O_DIRECT", 32, true, O_DIRECT, 1.08));
}

}  // namespace weir::bench
