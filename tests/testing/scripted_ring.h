// ScriptedRing: an io_uring without a kernel. Its queues are the test's own memory, and the test plays the kernel's part.
//
//   FakeKernel kernel;
//   auto owned = std::make_unique<ScriptedRing>(kernel, ScriptedRing::Options{.sq_entries = 4});
//   ScriptedRing& ring = *owned;
//   ring.on_enter = [](ScriptedRing& r, bool) {
//     while (const io_uring_sqe* read = r.find(IORING_OP_READV)) r.complete(*read, -ENOBUFS);
//   };
//   ring.refuse(-EBUSY);                  // the next enter takes nothing and answers this
//   auto loop = internal::LoopAccess::create(std::move(owned), kernel, options);
//
// An enter answers what refuse() has queued, or takes the new submissions, flushes task work and overflow, calls
// on_enter, and then answers by itself what on_enter has left and every kernel answers at once: NOP, CLOSE, ASYNC_CANCEL
// (see Options::by_hand), opcodes that are missing, and the read of the loop's wake-up. A wait with a deadline lets the
// virtual time pass. A wait for ever with nothing to come prints what is pending and aborts: a test that would hang.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <vector>

#include "weir/runtime/ring.h"
#include "weir/tests/testing/fake_kernel.h"

namespace weir::testing {

class ScriptedRing final : public internal::Ring {
 public:
  struct Options {
    unsigned sq_entries = 8;    // both powers of two
    unsigned cq_entries = 16;
    unsigned setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    unsigned features = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    int enable_result = 0;
    bool takes_deadlines = false;
  };

  ScriptedRing(FakeKernel& kernel, const Options& options);
  explicit ScriptedRing(FakeKernel& kernel) : ScriptedRing(kernel, Options()) {}

  // --- the script
  // Called in each enter that is not refused, with the new submissions among pending().
  std::function<void(ScriptedRing&, bool wait)> on_enter;
  // The next enters, one each, answer these and take nothing. 0: as if interrupted before anything was done.
  void refuse(int result) { refusals_.push_back(result); }
  // The next enters take at most this many submissions.
  unsigned take_max = UINT32_MAX;
  // Opcodes that this kernel does not have, and those that it answers only through complete().
  std::set<int> missing;
  std::set<int> by_hand;

  // Answers io_uring_register(2); without it, everything succeeds.
  std::function<int(unsigned opcode, void* argument, unsigned count)> on_register;

  // Submissions without a terminal completion, in order. The references are valid until the next enter or complete().
  const std::vector<io_uring_sqe>& pending() const { return pending_; }
  const io_uring_sqe* find(int opcode) const;
  unsigned count(int opcode) const;

  // Posts a completion: at once if there is room, else it overflows, as the kernel's do.
  void complete(const io_uring_sqe& entry, int result, unsigned flags = 0);
  // The same, held back as task work until the next enter.
  void complete_as_task_work(const io_uring_sqe& entry, int result, unsigned flags = 0);

  // --- what happened
  std::vector<io_uring_sqe> seen;         // everything that was taken
  std::vector<unsigned> taken_per_enter;  // one number for each enter, 0 for a refused one
  int waits = 0;                          // enters that were allowed to sleep
  int64_t slept_ns = 0;                   // virtual time that passed in them
  unsigned seen_count(int opcode) const;

  // --- Ring
  int enable() noexcept override { return options_.enable_result; }
  int enter(bool wait, int64_t timeout_ns) noexcept override;
  int enter_until(int64_t deadline_ns) noexcept override {
    return enter(true, std::max<int64_t>(0, deadline_ns - kernel_.now_ns()));
  }
  bool supports(int opcode) const noexcept override { return !missing.contains(opcode); }
  int register_resource(unsigned opcode, void* argument, unsigned count) noexcept override {
    return on_register ? on_register(opcode, argument, count) : 0;
  }

 private:
  unsigned take();
  void answer_by_default();
  void answer_cancel(const io_uring_sqe& cancel);
  void push(const io_uring_cqe& completion);
  void forget(uint64_t user_data);
  void set_flag(unsigned flag, bool on);
  bool has_room() const;
  [[noreturn]] void abort_instead_of_hanging() const;

  FakeKernel& kernel_;
  const Options options_;
  std::vector<io_uring_sqe> sq_memory_;
  std::vector<io_uring_cqe> cq_memory_;
  unsigned sq_head_word_ = 0;
  unsigned sq_tail_word_ = 0;
  unsigned sq_flags_word_ = 0;
  unsigned cq_head_word_ = 0;
  unsigned cq_tail_word_ = 0;
  std::vector<io_uring_sqe> pending_;
  std::deque<io_uring_cqe> overflow_;
  std::deque<io_uring_cqe> task_work_;
  std::deque<int> refusals_;
};

}  // namespace weir::testing
