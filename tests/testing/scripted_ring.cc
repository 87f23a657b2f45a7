#include "weir/tests/testing/scripted_ring.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace weir::testing {

ScriptedRing::ScriptedRing(FakeKernel& kernel, const Options& options)
    : kernel_(kernel), options_(options), sq_memory_(options.sq_entries), cq_memory_(options.cq_entries) {
  sq_head_ = &sq_head_word_;
  sq_kernel_tail_ = &sq_tail_word_;
  sq_flags_ = &sq_flags_word_;
  sq_entries_memory_ = sq_memory_.data();
  sq_entries_ = options.sq_entries;
  sq_mask_ = options.sq_entries - 1;
  cq_head_ = &cq_head_word_;
  cq_tail_ = &cq_tail_word_;
  cq_entries_memory_ = cq_memory_.data();
  cq_mask_ = options.cq_entries - 1;
  setup_flags_ = options.setup_flags;
  takes_deadlines_ = options.takes_deadlines;
  features_ = options.features;
}

const io_uring_sqe* ScriptedRing::find(int opcode) const {
  const auto at = std::find_if(pending_.begin(), pending_.end(), [&](const io_uring_sqe& e) { return e.opcode == opcode; });
  return at == pending_.end() ? nullptr : &*at;
}

unsigned ScriptedRing::count(int opcode) const {
  return static_cast<unsigned>(
      std::count_if(pending_.begin(), pending_.end(), [&](const io_uring_sqe& e) { return e.opcode == opcode; }));
}

unsigned ScriptedRing::seen_count(int opcode) const {
  return static_cast<unsigned>(
      std::count_if(seen.begin(), seen.end(), [&](const io_uring_sqe& e) { return e.opcode == opcode; }));
}

bool ScriptedRing::has_room() const { return cq_tail_word_ - cq_head_word_ < options_.cq_entries; }

void ScriptedRing::set_flag(unsigned flag, bool on) {
  sq_flags_word_ = on ? sq_flags_word_ | flag : sq_flags_word_ & ~flag;
}

void ScriptedRing::push(const io_uring_cqe& completion) {
  if (!has_room() || !overflow_.empty()) {
    overflow_.push_back(completion);
    return set_flag(IORING_SQ_CQ_OVERFLOW, true);
  }
  cq_memory_[cq_tail_word_++ & cq_mask_] = completion;
}

void ScriptedRing::forget(uint64_t user_data) {
  const auto at = std::find_if(pending_.begin(), pending_.end(), [&](const io_uring_sqe& e) { return e.user_data == user_data; });
  if (at != pending_.end()) pending_.erase(at);
}

void ScriptedRing::complete(const io_uring_sqe& entry, int result, unsigned flags) {
  const io_uring_cqe completion{.user_data = entry.user_data, .res = result, .flags = flags};
  if (!(flags & IORING_CQE_F_MORE)) forget(entry.user_data);  // `entry` may be gone
  push(completion);
}

void ScriptedRing::complete_as_task_work(const io_uring_sqe& entry, int result, unsigned flags) {
  const io_uring_cqe completion{.user_data = entry.user_data, .res = result, .flags = flags};
  if (!(flags & IORING_CQE_F_MORE)) forget(entry.user_data);
  task_work_.push_back(completion);
  set_flag(IORING_SQ_TASKRUN, true);
}

unsigned ScriptedRing::take() {
  unsigned taken = 0;
  for (; sq_head_word_ != sq_tail_word_ && taken < take_max; ++taken) {
    const io_uring_sqe& entry = sq_memory_[sq_head_word_++ & sq_mask_];
    seen.push_back(entry);
    pending_.push_back(entry);
  }
  return taken;
}

void ScriptedRing::answer_cancel(const io_uring_sqe& cancel) {
  const uint64_t target = cancel.addr;
  const auto at = std::find_if(pending_.begin(), pending_.end(), [&](const io_uring_sqe& e) { return e.user_data == target; });
  const bool found = at != pending_.end();
  complete(cancel, found ? 0 : -ENOENT);
  if (!found) return;
  io_uring_sqe cancelled{};
  cancelled.user_data = target;
  complete(cancelled, -ECANCELED);
}

void ScriptedRing::answer_by_default() {
  const std::vector<io_uring_sqe> candidates = pending_;
  for (const io_uring_sqe& entry : candidates) {
    if (missing.contains(entry.opcode)) {
      complete(entry, -EINVAL);
    } else if (by_hand.contains(entry.opcode)) {
      continue;
    } else if (entry.opcode == IORING_OP_NOP || entry.opcode == IORING_OP_CLOSE) {
      complete(entry, 0);
    } else if (entry.opcode == IORING_OP_ASYNC_CANCEL) {
      answer_cancel(entry);
    } else if (entry.opcode == IORING_OP_READ && entry.fd == FakeKernel::kWakeUpFd) {
      const uint64_t count = kernel_.take_wake_ups();
      if (count == 0) continue;
      *reinterpret_cast<uint64_t*>(entry.addr) = count;
      complete(entry, sizeof count);
    }
  }
}

int ScriptedRing::enter(bool wait, int64_t timeout_ns) noexcept {
  publish();
  waits += wait;
  if (!refusals_.empty()) {
    const int result = refusals_.front();
    refusals_.pop_front();
    taken_per_enter.push_back(0);
    return result;
  }
  const unsigned taken = take();
  taken_per_enter.push_back(taken);
  set_flag(IORING_SQ_TASKRUN, false);
  while (!task_work_.empty()) {
    push(task_work_.front());
    task_work_.pop_front();
  }
  while (!overflow_.empty() && has_room()) {
    cq_memory_[cq_tail_word_++ & cq_mask_] = overflow_.front();
    overflow_.pop_front();
  }
  set_flag(IORING_SQ_CQ_OVERFLOW, !overflow_.empty());
  if (on_enter) on_enter(*this, wait);
  answer_by_default();
  if (wait && sq_head_word_ == sq_tail_word_ && cq_tail_word_ == cq_head_word_) {
    if (timeout_ns < 0) abort_instead_of_hanging();
    kernel_.advance(timeout_ns);
    slept_ns += timeout_ns;
  }
  return static_cast<int>(taken);
}

void ScriptedRing::abort_instead_of_hanging() const {
  std::fprintf(stderr, "ScriptedRing: the loop waits for ever and the script has nothing left; pending:");
  for (const io_uring_sqe& entry : pending_) std::fprintf(stderr, " opcode %d on fd %d;", entry.opcode, entry.fd);
  std::fprintf(stderr, "\n");
  std::abort();
}

}  // namespace weir::testing
