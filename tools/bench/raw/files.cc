// Random reads of 4 KiB through a ring, `depth` in flight.

#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "weir/tools/bench/file.h"
#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/raw/ring.h"

namespace weir::bench::raw {
namespace {

class Reads final : public Side {
 public:
  Reads(unsigned depth, bool registered, int extra_flags) : depth_(depth), registered_(registered), file_(BenchFile::get(extra_flags)) {
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, kBlockBytes * depth)));
    if (!registered_) return;
    std::vector<iovec> blocks;
    for (unsigned i = 0; i < depth; ++i) blocks.push_back({block(i), kBlockBytes});
    const int result = io_uring_register_buffers(ring_.get(), blocks.data(), depth);
    if (result < 0) throw std::system_error(-result, std::generic_category(), "io_uring_register_buffers");
  }

  Measured run(uint64_t count) override {
    Measured measured = time_of(count, [&] {
      uint64_t started = 0;
      uint64_t done = 0;
      for (unsigned i = 0; i < depth_ && started < count; ++i, ++started) read(i);
      while (done < count) {
        io_uring_submit_and_wait(ring_.get(), 1);
        unsigned head;
        unsigned seen = 0;
        io_uring_cqe* completion;
        io_uring_for_each_cqe(ring_.get(), head, completion) {
          ++seen;
          if (completion->res != static_cast<int>(kBlockBytes)) throw std::runtime_error("a read has failed");
          if (started < count) {
            ++started;
            read(static_cast<unsigned>(completion->user_data));
          }
        }
        io_uring_cq_advance(ring_.get(), seen);
        done += seen;
      }
    });
    measured.value = measured.cpu_ns;
    return measured;
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::byte* block(unsigned index) { return memory_.get() + size_t{index} * kBlockBytes; }

  void read(unsigned index) {
    io_uring_sqe* entry = ring_.entry();
    if (registered_) {
      io_uring_prep_read_fixed(entry, file_->fd(), block(index), kBlockBytes, file_->random_offset(random_), static_cast<int>(index));
    } else {
      io_uring_prep_read(entry, file_->fd(), block(index), kBlockBytes, file_->random_offset(random_));
    }
    entry->user_data = index;
  }

  const unsigned depth_;
  const bool registered_;
  const std::shared_ptr<const BenchFile> file_;
  std::unique_ptr<std::byte, Free> memory_;
  std::minstd_rand random_;
  Ring ring_;
};

}  // namespace

MakeSide reads(unsigned depth, bool registered, int extra_flags) {
  return [=] { return std::make_unique<Reads>(depth, registered, extra_flags); };
}

}  // namespace weir::bench::raw
