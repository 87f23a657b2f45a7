// A ring as weir opens it: one issuer, deferred task work, registered with the thread.
#pragma once

#include <liburing.h>

#include <system_error>

namespace weir::bench::raw {

class Ring {
 public:
  explicit Ring(unsigned entries = 256, unsigned completions = 4096) {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = completions;
    const int result = io_uring_queue_init_params(entries, &ring_, &params);
    if (result < 0) throw std::system_error(-result, std::generic_category(), "io_uring_queue_init_params");
    io_uring_register_ring_fd(&ring_);  // where the kernel cannot, the descriptor's number does
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { io_uring_queue_exit(&ring_); }

  io_uring* get() { return &ring_; }

  // A free entry; submits what waits when there is none.
  io_uring_sqe* entry() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
    }
    return sqe;
  }

 private:
  io_uring ring_{};
};

}  // namespace weir::bench::raw
