// What weir does where the kernel lacks a request (an IORING_OP_): the blocking form of it, as a job of the loop's
// executor; for what cannot block long, the system call in place.
//
// One table says for each request that weir uses since when the kernel has it, and what its blocking form is. A request
// that may wait for a peer has none: it would hold a thread for as long as the peer likes, and could not be cancelled.
// Without an executor, or without a blocking form, the operation fails with kUnimplemented, and the message names request,
// kernel and cure.
//
// Cancelling: a job that has not begun never does; one that has is waited for.
// Cost where nothing is missing: one test of a bool an operation. Loop's thread, but for run() and drop().
#pragma once

#include <atomic>

#include "absl/types/span.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/inbox.h"
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/missing.h"
#include "weir/runtime/ring.h"

namespace weir::internal {

class Kernel;
class Operation;
class Submissions;

// A request that weir uses.
struct UsedOpcode {
  enum class Blocking { kNone, kInPlace, kOnThread, kOnThreadForDevices };

  int opcode;
  const char* name;   // IORING_OP_…
  const char* since;  // Linux
  Blocking form;
  int (*blocking)(const io_uring_sqe&, Kernel&) noexcept;  // as the request's res
};

absl::Span<const UsedOpcode> used_opcodes() noexcept;
const UsedOpcode* used_opcode(int opcode) noexcept;  // nullptr: not one of weir's

// One operation whose request is missing, as a job. Deletes itself.
class Fallback final : public Job, public InboxNode {
 public:
  // `owner` is told on the loop that it has ended.
  Fallback(Operation& operation, const UsedOpcode& opcode, const io_uring_sqe& entry, Kernel& kernel, ControlRef home,
           Submissions& owner) noexcept;

  void run() noexcept override;
  void drop() noexcept override;

  // On the loop: true if it has not begun; then it never does, the owner is not told, and the job may be gone at once.
  bool withdraw() noexcept { return claim(); }

  Operation& operation() const noexcept { return operation_; }
  int result() const noexcept { return result_; }

 private:
  friend class Submissions;

  ~Fallback() = default;
  // acq_rel, with itself: an executor that finds it withdrawn deletes it, and so sees that the loop is done with it.
  bool claim() noexcept { return !claimed_.exchange(true, std::memory_order_acq_rel); }
  void answer(int result) noexcept;
  void deliver() noexcept override;

  Operation& operation_;
  const UsedOpcode& opcode_;
  const io_uring_sqe entry_;
  Kernel& kernel_;
  const ControlRef home_;
  Submissions& owner_;
  Fallback* previous_ = nullptr;  // the owner's list
  Fallback* following_ = nullptr;
  int result_ = 0;
  std::atomic<bool> claimed_{false};
};

}  // namespace weir::internal
