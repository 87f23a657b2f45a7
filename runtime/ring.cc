#include "weir/runtime/ring.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <cerrno>
#include <cstdint>
#include <new>

#include "weir/runtime/kernel_support.h"

namespace weir::internal {
namespace {

constexpr unsigned kCompletionEntries = 4096;

// Of Linux 6.12, later than liburing's header: enters may wait until a point in time, and say that they can by a feature
// of the same version.
constexpr unsigned kEnterUntil = 1U << 5;        // IORING_ENTER_ABS_TIMER
constexpr unsigned kFeatureOf6_12 = 1U << 15;    // IORING_FEAT_MIN_TIMEOUT

// Best first; each step gives up what a kernel older than the comment says does not have.
constexpr std::array kSetups = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,  // 6.1
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,   // 6.0
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,                                // 5.19
    IORING_SETUP_SUBMIT_ALL,                                                                                        // 5.18
    0U,                                                                                                             // 5.15
};

// The kernel takes the points in time of its first time namespace, whatever the caller's clock says (as of 6.18).
bool in_first_time_namespace() noexcept {
  constexpr ino_t kFirst = 0xEFFFFFFA;  // PROC_TIME_INIT_INO
  struct stat status{};
  return ::stat("/proc/self/ns/time", &status) == 0 && status.st_ino == kFirst;
}

// A word that the kernel wipes to 0 in a child that was forked off: a child must not touch its parent's ring.
std::atomic<uint64_t>& wiped_word() noexcept {
  static std::atomic<uint64_t>& word = []() -> std::atomic<uint64_t>& {
    static constinit std::atomic<uint64_t> fallback{0};
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return fallback;
    ::madvise(page, 4096, MADV_WIPEONFORK);
    return *new (page) std::atomic<uint64_t>(0);
  }();
  return word;
}

// A number that differs between this process and the ones it was forked off. Any thread.
uint64_t this_process() noexcept {
  static constinit std::atomic<uint64_t> last{0};  // a child goes on counting from its parent's
  std::atomic<uint64_t>& word = wiped_word();
  uint64_t number = word.load(std::memory_order_relaxed);  // relaxed, all three: nothing but the number is published
  if (number != 0) return number;
  const uint64_t next = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return word.compare_exchange_strong(number, next, std::memory_order_relaxed) ? next : number;
}

// A number that no other thread has, nor will have: identifiers of threads are used again.
uint64_t this_thread() noexcept {
  static constinit std::atomic<uint64_t> last{0};
  static thread_local const uint64_t number = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return number;
}

class SystemRing final : public Ring {
 public:
  ~SystemRing() override {
    if (!opened_ || in_forked_child()) return;
    // The registered descriptor is a number in the table of the thread that enabled the ring; in another thread's table
    // it is another ring, or none.
    if (enabled_by_ != this_thread()) ring_.int_flags &= static_cast<uint8_t>(~kIntFlagRegisteredRing);
    ::io_uring_queue_exit(&ring_);
  }

  int open(unsigned entries, unsigned cq_entries, unsigned flags) noexcept {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
    params.cq_entries = cq_entries;
    const int result = ::io_uring_queue_init_params(entries, &ring_, &params);
    if (result < 0) return result;
    opened_ = true;
    setup_flags_ = params.flags;
    features_ = params.features;
    takes_deadlines_ = (params.features & kFeatureOf6_12) != 0 && in_first_time_namespace();
    sq_head_ = ring_.sq.khead;
    sq_kernel_tail_ = ring_.sq.ktail;
    sq_flags_ = ring_.sq.kflags;
    sq_entries_memory_ = ring_.sq.sqes;
    sq_entries_ = params.sq_entries;
    sq_mask_ = params.sq_entries - 1;
    sq_tail_ = *ring_.sq.ktail;
    cq_head_ = ring_.cq.khead;
    cq_tail_ = ring_.cq.ktail;
    cq_entries_memory_ = ring_.cq.cqes;
    cq_mask_ = params.cq_entries - 1;
    for (unsigned i = 0; i < params.sq_entries; ++i) ring_.sq.array[i] = i;  // entries are used in order
    return 0;
  }

  int enable() noexcept override {
    const int result = register_resource(IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    if (result < 0) return result;
    enabled_by_ = this_thread();
    ::io_uring_register_ring_fd(&ring_);  // saves a look-up an enter; without it (5.18) the plain descriptor does
    if (ring_.int_flags & kIntFlagRegisteredRing) enter_flags_ |= IORING_ENTER_REGISTERED_RING;
    return 0;
  }

  int enter(bool wait, int64_t timeout_ns) noexcept override {
    if (in_forked_child()) [[unlikely]] return -EOWNERDEAD;
    const unsigned submit = publish();
    if (wait && timeout_ns >= 0) return enter_limited(submit, timeout_ns, 0);
    return answer(::syscall(__NR_io_uring_enter, ring_.enter_ring_fd, submit, wait ? 1U : 0U, enter_flags_, nullptr, 0));
  }

  int enter_until(int64_t deadline_ns) noexcept override {
    if (in_forked_child()) [[unlikely]] return -EOWNERDEAD;
    const int result = enter_limited(publish(), deadline_ns, kEnterUntil);
    if (result != -EINVAL) return result;
    takes_deadlines_ = false;  // a kernel that has the one without the other; nothing was submitted
    return 0;
  }

  bool in_forked_child() const noexcept override { return word_.load(std::memory_order_relaxed) != process_; }  // as in this_process()

  bool supports(int opcode) const noexcept override {
    return opcode >= 0 && opcode < static_cast<int>(supported_.size()) && supported_[static_cast<std::size_t>(opcode)];
  }

  int register_resource(unsigned opcode, void* argument, unsigned count) noexcept override {
    const long result = ::syscall(__NR_io_uring_register, ring_.ring_fd, opcode, argument, count);
    return result < 0 ? -errno : static_cast<int>(result);
  }

  void probe() noexcept {
    constexpr unsigned kOperations = 256;
    alignas(io_uring_probe) std::array<char, sizeof(io_uring_probe) + kOperations * sizeof(io_uring_probe_op)> memory{};
    auto* answer = reinterpret_cast<io_uring_probe*>(memory.data());
    if (register_resource(IORING_REGISTER_PROBE, answer, kOperations) < 0) {
      // A filter forbids to ask: then what 5.15 has, the oldest.
      for (std::size_t opcode = 0; opcode <= IORING_OP_LINKAT; ++opcode) supported_.set(opcode);
      return;
    }
    for (unsigned i = 0; i < answer->ops_len; ++i) {
      const io_uring_probe_op& operation = answer->ops[i];
      if (operation.flags & IO_URING_OP_SUPPORTED) supported_.set(operation.op);
    }
  }

 private:
  static constexpr unsigned kIntFlagRegisteredRing = 1;  // liburing's INT_FLAG_REG_RING

  int enter_limited(unsigned submit, int64_t limit_ns, unsigned flags) noexcept {
    __kernel_timespec limit{};
    limit.tv_sec = limit_ns / 1'000'000'000;
    limit.tv_nsec = limit_ns % 1'000'000'000;
    io_uring_getevents_arg argument{};
    argument.ts = reinterpret_cast<uint64_t>(&limit);
    return answer(::syscall(__NR_io_uring_enter, ring_.enter_ring_fd, submit, 1U, enter_flags_ | flags | IORING_ENTER_EXT_ARG,
                            &argument, sizeof argument));
  }

  static int answer(long result) noexcept {
    if (result >= 0) return static_cast<int>(result);
    return errno == ETIME ? 0 : -errno;
  }

  io_uring ring_{};
  std::bitset<256> supported_;
  const std::atomic<uint64_t>& word_ = wiped_word();
  const uint64_t process_ = this_process();
  uint64_t enabled_by_ = 0;
  unsigned enter_flags_ = IORING_ENTER_GETEVENTS;
  bool opened_ = false;
};

int open_with_best_flags(SystemRing& ring, unsigned entries, unsigned cq_entries) {
  int result = -EINVAL;
  for (unsigned flags : kSetups) {
    result = ring.open(entries, cq_entries, flags);
    if (result != -EINVAL) break;
  }
  return result;
}

}  // namespace

int Ring::enter_until(int64_t) noexcept { return -EINVAL; }

absl::StatusOr<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) {
  auto ring = std::make_unique<SystemRing>();
  const bool chosen_by_us = options.cq_entries == 0;
  unsigned cq_entries = chosen_by_us ? std::max(kCompletionEntries, 2 * options.sq_entries) : options.cq_entries;
  int result = open_with_best_flags(*ring, options.sq_entries, cq_entries);
  while (result == -ENOMEM && chosen_by_us && cq_entries / 2 >= 2 * options.sq_entries) {
    cq_entries /= 2;
    result = open_with_best_flags(*ring, options.sq_entries, cq_entries);
  }
  if (result < 0) return explain_setup_failure(-result);
  if (!(ring->features() & IORING_FEAT_NODROP) || !(ring->features() & IORING_FEAT_EXT_ARG)) {
    return explain_old_kernel();
  }
  ring->probe();
  return std::unique_ptr<Ring>(std::move(ring));
}

}  // namespace weir::internal
