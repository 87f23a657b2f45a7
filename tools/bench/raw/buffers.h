// A ring of provided buffers, from which the kernel takes one for each receive.
#pragma once

#include <liburing.h>
#include <sys/mman.h>

#include <cstddef>
#include <system_error>
#include <vector>

#include "weir/tools/bench/raw/ring.h"

namespace weir::bench::raw {

class Buffers {
 public:
  Buffers(Ring& ring, unsigned count, unsigned size) : ring_(ring), count_(count), size_(size), memory_(size_t{count} * size) {
    void* const shared = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    entries_ = static_cast<io_uring_buf_ring*>(shared);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(entries_);
    registration.ring_entries = count_;
    const int result = io_uring_register_buf_ring(ring_.get(), &registration, 0);
    if (result < 0) throw std::system_error(-result, std::generic_category(), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(entries_);
    for (unsigned i = 0; i < count_; ++i) give_back(i);
    publish();
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers() {
    io_uring_unregister_buf_ring(ring_.get(), 0);
    munmap(entries_, bytes());
  }

  std::byte* at(unsigned index) { return memory_.data() + size_t{index} * size_; }

  // A receive that goes on until the end, a buffer each time.
  void receive(io_uring_sqe* entry, int fd, uint64_t user_data) {
    io_uring_prep_recv_multishot(entry, fd, nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = 0;
    entry->user_data = user_data;
  }

  // The kernel may have it again, after publish().
  void give_back(unsigned index) {
    io_uring_buf_ring_add(entries_, at(index), size_, static_cast<unsigned short>(index), io_uring_buf_ring_mask(count_), given_++);
  }
  void publish() {
    io_uring_buf_ring_advance(entries_, given_);
    given_ = 0;
  }

 private:
  size_t bytes() const { return count_ * sizeof(io_uring_buf); }

  Ring& ring_;
  const unsigned count_;
  const unsigned size_;
  std::vector<std::byte> memory_;
  io_uring_buf_ring* entries_ = nullptr;
  int given_ = 0;
};

}  // namespace weir::bench::raw
