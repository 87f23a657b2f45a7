// The window on one io_uring: the submission queue, the completion queue, and one call into the kernel.
//
// The queues are memory shared with the kernel and are read and written in place, without a virtual call; enter() is the
// one virtual call, so that a test can stand in for the kernel (tests/testing/scripted_ring.h).
//
// One thread. Source of the protocol: io_uring(7), io_uring_enter(2), io_uring_setup(2).
#pragma once

#include <liburing.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>

#include "absl/status/statusor.h"

namespace weir::internal {

struct RingOptions {
  unsigned sq_entries = 256;
  unsigned cq_entries = 0;  // 0: 4096, or less where the memlock limit allows no more
};

class Ring {
 public:
  virtual ~Ring() = default;

  // A ring of this kernel, not yet enabled, with the best flags that the kernel has: SINGLE_ISSUER, DEFER_TASKRUN,
  // TASKRUN_FLAG and SUBMIT_ALL, stepping down one by one to what 5.15 has. The error names cause and cure.
  static absl::StatusOr<std::unique_ptr<Ring>> create(const RingOptions& options);

  // Binds the ring to the calling thread, its only user from now on. 0 or a negative errno.
  virtual int enable() noexcept = 0;

  // Submits everything and lets the kernel post completions; with `wait`, sleeps until there is at least one or until
  // `timeout_ns` (relative; < 0: for ever) has passed, which is no error. Returns the number of submissions taken, or a
  // negative errno: -EINTR, -EAGAIN, -EBUSY mean "later".
  virtual int enter(bool wait, int64_t timeout_ns) noexcept = 0;

  // The same with a wait until a point of CLOCK_MONOTONIC, which needs no look at the clock. Linux 6.12.
  bool takes_deadlines() const noexcept { return takes_deadlines_; }
  virtual int enter_until(int64_t deadline_ns) noexcept;

  // Whether the submission queue has a free entry; if not, enter.
  bool has_slot() const noexcept { return unsubmitted() != sq_entries_; }

  // A zeroed entry to be filled in; only after has_slot().
  io_uring_sqe* next_submission() noexcept {
    io_uring_sqe* entry = &sq_entries_memory_[sq_tail_++ & sq_mask_];
    std::memset(entry, 0, sizeof *entry);
    return entry;
  }
  unsigned unsubmitted() const noexcept { return sq_tail_ - load_acquire(sq_head_); }  // pairs with the kernel's release of the head

  // Completions that can be read: peek(0) … peek(completions() - 1), until advance().
  unsigned completions() const noexcept { return load_acquire(cq_tail_) - *cq_head_; }  // pairs with the kernel's release of the tail
  const io_uring_cqe& peek(unsigned index) const noexcept { return cq_entries_memory_[(*cq_head_ + index) & cq_mask_]; }
  void advance(unsigned count) noexcept { store_release(cq_head_, *cq_head_ + count); }  // pairs with the kernel's acquire: the entries are read

  // The kernel holds back completions: an overflow to flush, or task work to run. Only an enter helps.
  bool overflowed() const noexcept { return (load_relaxed(sq_flags_) & IORING_SQ_CQ_OVERFLOW) != 0; }
  bool has_task_work() const noexcept { return (load_relaxed(sq_flags_) & IORING_SQ_TASKRUN) != 0; }

  unsigned submission_entries() const noexcept { return sq_entries_; }
  unsigned completion_entries() const noexcept { return cq_mask_ + 1; }
  unsigned setup_flags() const noexcept { return setup_flags_; }
  unsigned features() const noexcept { return features_; }

  // This process was forked off the one that opened the ring: it must not touch it.
  virtual bool in_forked_child() const noexcept { return false; }

  // Whether the kernel has this IORING_OP_.
  virtual bool supports(int opcode) const noexcept = 0;

  // io_uring_register(2) on this ring: 0 or more, or a negative errno.
  virtual int register_resource(unsigned opcode, void* argument, unsigned count) noexcept = 0;

 protected:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  static unsigned load_acquire(const unsigned* word) noexcept { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
  static unsigned load_relaxed(const unsigned* word) noexcept { return __atomic_load_n(word, __ATOMIC_RELAXED); }
  static void store_release(unsigned* word, unsigned value) noexcept { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

  // Shows the kernel what was filled in since the last time; the number of submissions it has not taken.
  unsigned publish() noexcept {
    store_release(sq_kernel_tail_, sq_tail_);  // pairs with the kernel's acquire of the tail: entries are complete
    return unsubmitted();
  }

  const unsigned* sq_head_ = nullptr;
  unsigned* sq_kernel_tail_ = nullptr;
  const unsigned* sq_flags_ = nullptr;
  io_uring_sqe* sq_entries_memory_ = nullptr;
  unsigned sq_tail_ = 0;  // ours; ahead of *sq_kernel_tail_ until publish()
  unsigned sq_mask_ = 0;
  unsigned sq_entries_ = 0;
  unsigned* cq_head_ = nullptr;
  const unsigned* cq_tail_ = nullptr;
  const io_uring_cqe* cq_entries_memory_ = nullptr;
  unsigned cq_mask_ = 0;
  bool takes_deadlines_ = false;
  unsigned setup_flags_ = 0;
  unsigned features_ = 0;
};

}  // namespace weir::internal
