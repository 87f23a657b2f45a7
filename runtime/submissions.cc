#include "weir/runtime/submissions.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "weir/runtime/descriptor.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/kernel.h"

namespace weir::internal {
namespace {

constexpr uint64_t kCancelTag = 1;  // in user_data: the completion of an operation's cancel
constexpr int64_t kCancelPauseMin_ns = 1'000'000;
constexpr int64_t kCancelPauseMax_ns = 1'024'000'000;

// The slot is taken: it travels as a NOP that nobody hears of.
void pass(io_uring_sqe& entry) noexcept {
  io_uring_prep_nop(&entry);
  entry.flags = 0;
  entry.user_data = 0;
}

// A worker of the kernel that a cancel has interrupted hands out the codes that elsewhere restart a system call:
// ERESTARTSYS to ERESTART_RESTARTBLOCK (include/linux/errno.h). To a program they are EINTR.
bool means_restart(int result) noexcept { return result <= -512 && result >= -516; }

}  // namespace

Submissions::Submissions(Ring& ring, Timers& timers, Kernel& kernel) noexcept
    : ring_(ring),
      timers_(timers),
      kernel_(kernel),
      admitted_max_(std::max(1U, ring.completion_entries() - ring.completion_entries() / 4)),
      cancel_pause_ns_(kCancelPauseMin_ns) {}

// By the kernel, as a whole: 0 when it means "later".
int Submissions::refused(int error) noexcept {
  if (error == -EBUSY) overflows_.add();
  return error == -EINTR || error == -EAGAIN || error == -EBUSY ? 0 : error;
}

bool Submissions::make_slot() noexcept {
  copy_out();  // a kernel that says EBUSY wants room in the completion queue first
  enter(false, 0);
  return ring_.has_slot();
}

bool Submissions::admitted(const Operation& operation) const noexcept {
  return operation.waits_ == Operation::Waits::kForPeer || admitted_ < admitted_max_;
}

void Submissions::start(Operation& operation) noexcept {
  live_.add();
  operation.state_ = Operation::State::kQueued;
  operation.cancel_wanted_ = false;
  if (Descriptor* descriptor = operation.descriptor_; descriptor != nullptr && !descriptor->begin(operation)) {
    operation.descriptor_ = nullptr;
    operation.result_ = -ECANCELED;  // closed under the caller
    return finish(operation);
  }
  if (!admitted(operation)) return wait_for_admission(operation);
  if (!for_slot_.empty() || !place(operation)) for_slot_.push_back(operation);
}

void Submissions::wait_for_admission(Operation& operation) noexcept {
  operation.in_admission_ = true;
  for_admission_.push_back(operation);
}

// Fills in a slot. False: there is none.
bool Submissions::place(Operation& operation) noexcept {
  io_uring_sqe* entry = slot();
  if (entry == nullptr) return false;
  operation.state_ = Operation::State::kFilling;
  filling_ = true;
  const bool filled = operation.fill(*entry);
  filling_ = false;
  if (!filled || operation.cancel_wanted_) {
    pass(*entry);
    if (filled) operation.result_ = -ECANCELED;
    finish(operation);
    return true;
  }
  if (has_gaps_ && !ring_.supports(entry->opcode) && fall_back(operation, *entry)) [[unlikely]] return true;
  entry->user_data = reinterpret_cast<uint64_t>(&operation);
  operation.state_ = Operation::State::kInFlight;
  operation.outstanding_ = 1;
  in_flight_.push_back(operation);
  if (operation.waits_ == Operation::Waits::kForDevice) ++admitted_;
  return true;
}

// False: not a request of weir's; the kernel shall answer it.
bool Submissions::fall_back(Operation& operation, io_uring_sqe& entry) noexcept {
  const UsedOpcode* const opcode = used_opcode(entry.opcode);
  if (opcode == nullptr) return false;
  const io_uring_sqe wanted = entry;
  pass(entry);
  switch (opcode->form) {
    case UsedOpcode::Blocking::kInPlace:
      end(operation, opcode->blocking(wanted, kernel_));
      return true;
    case UsedOpcode::Blocking::kOnThreadForDevices:
      if (operation.waits_ == Operation::Waits::kForPeer) break;
      [[fallthrough]];
    case UsedOpcode::Blocking::kOnThread:
      if (const int result = begin_job(operation, *opcode, wanted); result < 0) end(operation, result);
      return true;
    case UsedOpcode::Blocking::kNone:
      break;
  }
  end(operation, missing_result(opcode->opcode));
  return true;
}

// Negative: it has not begun.
int Submissions::begin_job(Operation& operation, const UsedOpcode& opcode, const io_uring_sqe& entry) noexcept {
  Engine& engine = *operation.engine_;
  if (!engine.has_executor()) return missing_result(opcode.opcode);
  auto* const job = new Fallback(operation, opcode, entry, kernel_, ControlRef::share(&engine.control()), *this);
  on_threads_.push_back(*job);
  operation.state_ = Operation::State::kOnThread;
  try {
    engine.executor().submit(*job);
    return 0;
  } catch (...) {  // PoolClosed: the loop goes; or a pool that could start no thread
    on_threads_.remove(*job);
    delete job;
    return -ECANCELED;
  }
}

void Submissions::fell_back(Fallback& fallback) noexcept {
  on_threads_.remove(fallback);
  end(fallback.operation(), fallback.result());
}

void Submissions::end(Operation& operation, int result) noexcept {
  operation.result_ = result;
  finish(operation);
}

void Submissions::look_for_gaps() noexcept {
  const auto used = used_opcodes();
  has_gaps_ = !std::all_of(used.begin(), used.end(), [this](const UsedOpcode& opcode) { return ring_.supports(opcode.opcode); });
}

void Submissions::give_slots() noexcept {
  while (Operation* operation = for_slot_.first()) {
    if (!has_slot()) return;
    for_slot_.remove(*operation);
    if (admitted(*operation)) {
      place(*operation);
    } else {
      wait_for_admission(*operation);
    }
  }
  while (Operation* operation = for_admission_.first()) {
    if (!admitted(*operation) || !has_slot()) return;
    for_admission_.remove(*operation);
    operation->in_admission_ = false;
    place(*operation);
  }
}

void Submissions::cancel(Operation& operation) noexcept {
  if (operation.cancel_wanted_) return;
  switch (operation.state_) {
    case Operation::State::kQueued:
      (operation.in_admission_ ? for_admission_ : for_slot_).remove(operation);
      operation.result_ = -ECANCELED;
      return finish(operation);
    case Operation::State::kFilling:
      operation.cancel_wanted_ = true;  // place() looks at it
      return;
    case Operation::State::kInFlight:
      operation.cancel_wanted_ = true;
      return submit_cancel(operation);
    case Operation::State::kOnThread: {
      Fallback* job = on_threads_.first();
      while (&job->operation() != &operation) job = decltype(on_threads_)::after(*job);
      on_threads_.remove(*job);
      return withdraw(*job);
    }
    case Operation::State::kIdle:
    case Operation::State::kDone:
      return;
  }
}

void Submissions::cancel_all_but(const Operation& spared) noexcept {
  for (Queue* const queue : {&for_slot_, &for_admission_, &in_flight_}) {
    for (Operation* operation = queue->first(); operation != nullptr;) {
      Operation* const following = Queue::after(*operation);
      if (operation != &spared) cancel(*operation);  // it may leave the queue
      operation = following;
    }
  }
  auto jobs = std::exchange(on_threads_, {});
  while (Fallback* const job = jobs.pop_front()) {
    if (&job->operation() == &spared) {
      on_threads_.push_back(*job);
    } else {
      withdraw(*job);
    }
  }
}

// Of one that is in no list. A job that runs is waited for.
void Submissions::withdraw(Fallback& job) noexcept {
  Operation& operation = job.operation();
  if (!job.withdraw()) return on_threads_.push_back(job);
  end(operation, -ECANCELED);  // the executor deletes the job in its turn, which may be now
}

void Submissions::submit_cancel(Operation& operation) noexcept {
  io_uring_sqe* entry = slot();
  if (entry == nullptr) return wait_to_cancel(operation);
  io_uring_prep_cancel64(entry, reinterpret_cast<uint64_t>(&operation), 0);
  entry->user_data = reinterpret_cast<uint64_t>(&operation) | kCancelTag;
  ++operation.outstanding_;
}

void Submissions::wait_to_cancel(Operation& operation) noexcept {
  operation.cancel_queued_ = true;
  in_flight_.remove(operation);
  to_cancel_.push_back(operation);
  if (!cancel_timer_.armed()) timers_.arm(cancel_timer_, kernel_.monotonic_ns() + cancel_pause_ns_);
}

void Submissions::cancel_again() noexcept {
  Queue again = to_cancel_;
  to_cancel_ = Queue();
  cancel_pause_ns_ = std::min(2 * cancel_pause_ns_, kCancelPauseMax_ns);
  while (Operation* operation = again.pop_front()) {
    operation->cancel_queued_ = false;
    in_flight_.push_back(*operation);
    submit_cancel(*operation);
  }
}

void Submissions::copy_out() noexcept {
  const unsigned count = ring_.completions();
  for (unsigned i = 0; i < count; ++i) backlog_.push_back(ring_.peek(i));
  ring_.advance(count);
}

// What was copied out before: older than what the queue holds.
io_uring_cqe Submissions::next_of_backlog() noexcept {
  const io_uring_cqe completion = backlog_[backlog_next_++];
  if (backlog_next_ == backlog_.size()) {
    backlog_.clear();
    backlog_next_ = 0;
  }
  return completion;
}

[[gnu::always_inline]] inline void Submissions::completed(const io_uring_cqe& completion) noexcept {
  if (completion.user_data == 0) return;
  auto& operation = *reinterpret_cast<Operation*>(completion.user_data & ~kCancelTag);
  if (completion.user_data & kCancelTag) {
    --operation.outstanding_;
    if (completion.res == -ENOENT && operation.outstanding_ != 0) wait_to_cancel(operation);
  } else if (completion.flags & IORING_CQE_F_MORE) {
    operation.more(completion.res, completion.flags);
    return;
  } else {
    --operation.outstanding_;
    operation.result_ = means_restart(completion.res) ? -EINTR : completion.res;
    operation.completion_flags_ = completion.flags;
    if (operation.waits_ == Operation::Waits::kForDevice) --admitted_;
  }
  if (operation.outstanding_ != 0) return;
  (std::exchange(operation.cancel_queued_, false) ? to_cancel_ : in_flight_).remove(operation);
  finish(operation);
}

// A copy, out of the queue: telling it may copy out more.
inline bool Submissions::next_completion(io_uring_cqe& completion) noexcept {
  if (!backlog_.empty()) [[unlikely]] {
    completion = next_of_backlog();
    return true;
  }
  if (ring_.completions() == 0) return false;
  completion = ring_.peek(0);
  ring_.advance(1);
  return true;
}

unsigned Submissions::reap(unsigned budget) noexcept {
  unsigned told = 0;
  for (io_uring_cqe completion; told < budget && next_completion(completion); ++told) completed(completion);
  completed_.add(told);
  return told;
}

void Submissions::finish(Operation& operation) noexcept {
  live_.subtract();
  operation.state_ = Operation::State::kDone;
  if (operation.cancel_wanted_ && to_cancel_.empty()) [[unlikely]] {
    timers_.cancel(cancel_timer_);
    cancel_pause_ns_ = kCancelPauseMin_ns;
  }
  if (Descriptor* descriptor = std::exchange(operation.descriptor_, nullptr)) descriptor->end(operation);
  operation.complete();
}

}  // namespace weir::internal
