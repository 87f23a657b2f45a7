// OldRing: a real ring that refuses, as an older kernel would, every request that is too new for it; and old kernels.
//
//   auto ring = OldRing::create({.last_opcode = IORING_OP_LINKAT, .last_registration = 19});
//   auto loop = internal::LoopAccess::create(std::move(*ring), internal::Kernel::system(), {});
//
// The kernel itself refuses (io_uring's restrictions, io_uring_register(2)): a request that the runtime should not have
// submitted fails with EACCES. One thread, as a Ring.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "weir/runtime/ring.h"
#include "weir/runtime/status.h"

namespace weir::testing {

struct OldKernel {
  const char* release = "";
  int last_opcode = 59;        // the newest IORING_OP_ that it has
  int last_registration = 25;  // the newest IORING_REGISTER_
};

// include/uapi/linux/io_uring.h of those releases.
inline constexpr std::array kOldKernels = {
    OldKernel{"5.15", 39, 19},  // LINKAT, IOWQ_MAX_WORKERS
    OldKernel{"6.0", 47, 25},   // SEND_ZC, FILE_ALLOC_RANGE
    OldKernel{"6.1", 48, 25},   // SENDMSG_ZC
};

class OldRing final : public internal::Ring {
 public:
  // Of that kernel, without the opcodes in `missing` besides.
  static absl::StatusOr<std::unique_ptr<OldRing>> create(const OldKernel& kernel, std::set<int> missing = {}) {
    auto real = Ring::create({});
    if (!real.ok()) return real.status();
    std::unique_ptr<OldRing> ring(new OldRing(std::move(*real), kernel, std::move(missing)));
    const int result = ring->forbid_the_rest();
    if (result < 0) return internal::errno_status(-result, "IORING_REGISTER_RESTRICTIONS");
    return ring;
  }

  int enable() noexcept override { return real_->enable(); }
  int enter(bool wait, int64_t timeout_ns) noexcept override {
    *real_.*kTail = sq_tail_;
    return real_->enter(wait, timeout_ns);
  }
  bool in_forked_child() const noexcept override { return real_->in_forked_child(); }
  bool supports(int opcode) const noexcept override {
    return opcode <= kernel_.last_opcode && !missing_.contains(opcode) && real_->supports(opcode);
  }
  int register_resource(unsigned opcode, void* argument, unsigned count) noexcept override {
    return real_->register_resource(opcode, argument, count);
  }

 private:
  static constexpr unsigned Ring::*kTail = &OldRing::sq_tail_;

  OldRing(std::unique_ptr<Ring> real, const OldKernel& kernel, std::set<int> missing)
      : real_(std::move(real)), kernel_(kernel), missing_(std::move(missing)) {
    sq_head_ = *real_.*&OldRing::sq_head_;
    sq_kernel_tail_ = *real_.*&OldRing::sq_kernel_tail_;
    sq_flags_ = *real_.*&OldRing::sq_flags_;
    sq_entries_memory_ = *real_.*&OldRing::sq_entries_memory_;
    sq_tail_ = *real_.*kTail;
    sq_mask_ = *real_.*&OldRing::sq_mask_;
    sq_entries_ = *real_.*&OldRing::sq_entries_;
    cq_head_ = *real_.*&OldRing::cq_head_;
    cq_tail_ = *real_.*&OldRing::cq_tail_;
    cq_entries_memory_ = *real_.*&OldRing::cq_entries_memory_;
    cq_mask_ = *real_.*&OldRing::cq_mask_;
    setup_flags_ = *real_.*&OldRing::setup_flags_;
    features_ = *real_.*&OldRing::features_;
  }

  int forbid_the_rest() {
    std::vector<io_uring_restriction> allowed;
    for (int opcode = 0; opcode <= kernel_.last_opcode; ++opcode) {
      if (!supports(opcode)) continue;
      io_uring_restriction& one = allowed.emplace_back();
      one.opcode = IORING_RESTRICTION_SQE_OP;
      one.sqe_op = static_cast<uint8_t>(opcode);
    }
    for (int opcode = 0; opcode <= kernel_.last_registration; ++opcode) {
      io_uring_restriction& one = allowed.emplace_back();
      one.opcode = IORING_RESTRICTION_REGISTER_OP;
      one.register_op = static_cast<uint8_t>(opcode);
    }
    io_uring_restriction& flags = allowed.emplace_back();
    flags.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    flags.sqe_flags = 0xff;
    return real_->register_resource(IORING_REGISTER_RESTRICTIONS, allowed.data(), static_cast<unsigned>(allowed.size()));
  }

  const std::unique_ptr<Ring> real_;
  const OldKernel kernel_;
  const std::set<int> missing_;
};

}  // namespace weir::testing
