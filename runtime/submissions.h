// The operations of a loop between their start and their end: slots, admission, cancelling, completions.
//
// What waits for what:
//   - an operation without a slot in the submission queue waits in for_slot_; each turn tries again, in order;
//   - operations that end by themselves (files) are admitted only while three quarters of the completion queue can hold
//     their completions, else they wait in for_admission_; those that wait for a peer, cancels and the wake-up are never
//     withheld, so that nothing that could let a peer go on waits behind a full queue;
//   - an operation whose request the kernel lacks waits for a thread (fallback.h);
//   - a cancel that finds no slot, or that the kernel answers with ENOENT while the operation is still out, waits in
//     to_cancel_: an operation that the kernel is just about to try again (a poll that fired, a worker that took it) is
//     for that moment in no list that ASYNC_CANCEL searches, so it is asked again after 1, 2, 4 … 1,024 ms;
//   - while an operation fills in its slot (submit() calls its user's prepare() there) nothing else gets one: what that
//     starts or cancels waits in these queues.
//
// Loop's thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "weir/runtime/counter.h"
#include "weir/runtime/fallback.h"
#include "weir/runtime/intrusive_list.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/ring.h"
#include "weir/runtime/timers.h"

namespace weir::internal {

class Kernel;

class Submissions {
 public:
  Submissions(Ring& ring, Timers& timers, Kernel& kernel) noexcept;

  void start(Operation& operation) noexcept;
  void cancel(Operation& operation) noexcept;
  // Everything that has not ended, `spared` excepted.
  void cancel_all_but(const Operation& spared) noexcept;

  // Before the first operation: whether the kernel lacks a request that weir uses.
  void look_for_gaps() noexcept;

  // A fallback has ended.
  void fell_back(Fallback& fallback) noexcept;

  // Gives slots to what waits for them; after each reap.
  void go_on() noexcept {
    if (!for_slot_.empty() || !for_admission_.empty()) [[unlikely]] give_slots();
  }

  // Tells the operations what the kernel has completed. At most `budget`; the number told.
  unsigned reap(unsigned budget) noexcept;
  bool has_completions() const noexcept { return !backlog_.empty() || ring_.completions() != 0; }

  // Something that the kernel has to know of before the loop sleeps has no slot yet: the kernel said "later".
  bool waits_for_slot() const noexcept {
    return !for_slot_.empty() || (!for_admission_.empty() && admitted_ < admitted_max_);
  }

  // One enter, counted. Negative: an errno that is not "later". Inline: after a system call each return is mispredicted.
  int enter(bool wait, int64_t timeout_ns) noexcept {
    before_enter();
    return after_enter(ring_.enter(wait, timeout_ns));
  }
  int enter_until(int64_t deadline_ns) noexcept {
    before_enter();
    return after_enter(ring_.enter_until(deadline_ns));
  }

  // Operations that were started and have not ended.
  uint64_t live() const noexcept { return live_.read(); }

  uint64_t enters() const noexcept { return enters_.read(); }
  uint64_t submitted() const noexcept { return submitted_.read(); }
  uint64_t completed() const noexcept { return completed_.read(); }
  uint64_t overflows() const noexcept { return overflows_.read(); }

 private:
  using Queue = IntrusiveList<Operation, &Operation::previous_, &Operation::following_>;

  class CancelAgain final : public Timer {
   public:
    explicit CancelAgain(Submissions& owner) noexcept : owner_(owner) {}
    ~CancelAgain() = default;
    void fire() noexcept override { owner_.cancel_again(); }

   private:
    Submissions& owner_;
  };

  void before_enter() noexcept {
    if (ring_.overflowed()) overflows_.add();
    enters_.add();
  }
  int after_enter(int result) noexcept {
    if (result < 0) [[unlikely]] return refused(result);
    submitted_.add(static_cast<uint64_t>(result));
    return 0;
  }
  int refused(int error) noexcept;
  bool admitted(const Operation& operation) const noexcept;
  void wait_for_admission(Operation& operation) noexcept;
  bool place(Operation& operation) noexcept;
  bool fall_back(Operation& operation, io_uring_sqe& entry) noexcept;
  int begin_job(Operation& operation, const UsedOpcode& opcode, const io_uring_sqe& entry) noexcept;
  void end(Operation& operation, int result) noexcept;
  void finish(Operation& operation) noexcept;
  void withdraw(Fallback& job) noexcept;
  void submit_cancel(Operation& operation) noexcept;
  void wait_to_cancel(Operation& operation) noexcept;
  void cancel_again() noexcept;
  io_uring_cqe next_of_backlog() noexcept;
  void completed(const io_uring_cqe& completion) noexcept;
  void copy_out() noexcept;
  bool next_completion(io_uring_cqe& completion) noexcept;
  void give_slots() noexcept;
  bool make_slot() noexcept;
  bool has_slot() noexcept { return !filling_ && (ring_.has_slot() || make_slot()); }
  io_uring_sqe* slot() noexcept { return has_slot() ? ring_.next_submission() : nullptr; }

  Ring& ring_;
  Timers& timers_;
  Kernel& kernel_;
  const unsigned admitted_max_;
  unsigned admitted_ = 0;  // device operations in flight
  bool filling_ = false;   // an operation is filling in the newest slot: no other is given out meanwhile
  // Each operation that has not ended is in one of these, but for the one that fills in its slot.
  Queue for_slot_;
  Queue for_admission_;
  Queue in_flight_;
  Queue to_cancel_;  // in flight, too
  IntrusiveList<Fallback, &Fallback::previous_, &Fallback::following_> on_threads_;
  bool has_gaps_ = false;
  CancelAgain cancel_timer_{*this};
  int64_t cancel_pause_ns_;
  std::vector<io_uring_cqe> backlog_;  // copied out to make room, not told yet
  std::size_t backlog_next_ = 0;
  Counter live_;
  Counter enters_;
  Counter submitted_;
  Counter completed_;
  Counter overflows_;
};

}  // namespace weir::internal
