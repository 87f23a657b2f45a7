#include "weir/runtime/ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/kernel.h"
#include "weir/tests/testing/child_process.h"

namespace weir::internal {
namespace {

std::unique_ptr<Ring> make(const RingOptions& options = {}) {
  auto ring = Ring::create(options);
  EXPECT_TRUE(ring.ok()) << ring.status();
  return std::move(*ring);
}

void add_nop(Ring& ring, uint64_t user_data) {
  ASSERT_TRUE(ring.has_slot());
  io_uring_sqe* entry = ring.next_submission();
  io_uring_prep_nop(entry);
  entry->user_data = user_data;
}

TEST(Ring, SubmitsAndCompletes) {
  auto ring = make({.sq_entries = 4, .cq_entries = 8});
  ASSERT_EQ(ring->enable(), 0);
  EXPECT_EQ(ring->submission_entries(), 4u);
  EXPECT_EQ(ring->completion_entries(), 8u);
  for (uint64_t round = 0; round < 100; ++round) {  // round the queues many times
    for (uint64_t i = 0; i < 3; ++i) add_nop(*ring, round * 3 + i);
    EXPECT_EQ(ring->unsubmitted(), 3u);
    EXPECT_EQ(ring->enter(true, -1), 3);
    EXPECT_EQ(ring->unsubmitted(), 0u);
    ASSERT_EQ(ring->completions(), 3u);
    for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(ring->peek(i).user_data, round * 3 + i);
    ring->advance(3);
    EXPECT_EQ(ring->completions(), 0u);
  }
}

TEST(Ring, EntriesAreZeroedAndSlotsRunOut) {
  auto ring = make({.sq_entries = 2, .cq_entries = 4});
  ASSERT_EQ(ring->enable(), 0);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(ring->has_slot());
      io_uring_sqe* entry = ring->next_submission();
      EXPECT_EQ(entry->user_data, 0u);
      EXPECT_EQ(entry->len, 0u);
      io_uring_prep_nop(entry);
      entry->user_data = 77;
      entry->len = 0;
    }
    EXPECT_FALSE(ring->has_slot());
    EXPECT_EQ(ring->enter(false, 0), 2);
    EXPECT_TRUE(ring->has_slot());
    ring->advance(ring->completions());
  }
}

TEST(Ring, AWaitEndsAtItsDeadline) {
  auto ring = make();
  ASSERT_EQ(ring->enable(), 0);
  const int64_t before = Kernel::system().monotonic_ns();
  EXPECT_EQ(ring->enter(true, 2'000'000), 0);
  EXPECT_GE(Kernel::system().monotonic_ns() - before, 2'000'000);
  EXPECT_EQ(ring->enter(true, 0), 0);
}

TEST(Ring, AWaitEndsAtAPointInTime) {
  auto ring = make();
  ASSERT_EQ(ring->enable(), 0);
  if (!ring->takes_deadlines()) GTEST_SKIP() << "older than Linux 6.12";
  const int64_t deadline = Kernel::system().monotonic_ns() + 2'000'000;
  EXPECT_EQ(ring->enter_until(deadline), 0);
  EXPECT_GE(Kernel::system().monotonic_ns(), deadline);
  EXPECT_EQ(ring->completions(), 0u);
  EXPECT_EQ(ring->enter_until(deadline), 0);  // in the past
  io_uring_prep_nop(ring->next_submission());
  EXPECT_EQ(ring->enter_until(internal::kNoDeadline - 1), 1);
  EXPECT_EQ(ring->completions(), 1u);
}

// Its clock is ahead by an offset of which the kernel's waits know nothing.
TEST(Ring, ATimeNamespaceMovesNoDeadline) {
  const int status = testing::exit_status_of([] {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWTIME) != 0) return testing::kCannotTry;  // of the children
    const int offsets = ::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    constexpr std::string_view kAhead = "monotonic 3600 0\n";
    if (offsets < 0 || ::write(offsets, kAhead.data(), kAhead.size()) != static_cast<ssize_t>(kAhead.size())) return testing::kCannotTry;
    return testing::exit_status_of([] {
      auto ring = make();
      if (ring->enable() != 0) return 1;
      if (ring->takes_deadlines()) return 2;
      ring.reset();
      auto loop = Loop::create().value();
      loop->run([]() -> Task<> { co_await sleep_for(absl::Milliseconds(5)); }());  // else it takes an hour
      return 0;
    });
  });
  if (status == testing::kCannotTry) GTEST_SKIP() << "no time namespace can be made here";
  EXPECT_EQ(status, 0);
}

// A kernel that refuses the wait after all: it ends at once, and the next ones are relative.
TEST(Ring, ARefusedDeadlineIsLeftAlone) {
  const int status = testing::exit_status_of([] {
    auto ring = make();
    if (ring->enable() != 0) return 1;
    if (!ring->takes_deadlines() || !testing::refuse_system_call(__NR_io_uring_enter, EINVAL)) return testing::kCannotTry;
    io_uring_prep_nop(ring->next_submission());
    if (ring->enter_until(Kernel::system().monotonic_ns() + 1'000'000'000) != 0) return 2;
    return ring->takes_deadlines() || ring->unsubmitted() != 1 ? 3 : 0;
  });
  if (status == testing::kCannotTry) GTEST_SKIP() << "older than Linux 6.12, or no filter can be set here";
  EXPECT_EQ(status, 0);
}

TEST(Ring, NothingIsLostWhenTheCompletionQueueOverflows) {
  auto ring = make({.sq_entries = 4, .cq_entries = 4});
  ASSERT_EQ(ring->enable(), 0);
  for (uint64_t i = 0; i < 20; ++i) {
    add_nop(*ring, i);
    if (!ring->has_slot()) {
      EXPECT_EQ(ring->enter(false, 0), 4);
    }
  }
  EXPECT_TRUE(ring->overflowed());
  std::vector<uint64_t> seen;
  while (seen.size() < 20) {
    for (unsigned i = 0; i < ring->completions(); ++i) seen.push_back(ring->peek(i).user_data);
    ring->advance(ring->completions());
    if (seen.size() < 20) {
      ASSERT_GE(ring->enter(false, 0), 0);
    }
  }
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(seen[i], i);
  EXPECT_FALSE(ring->overflowed());
}

TEST(Ring, KnowsWhichOpcodesTheKernelHas) {
  auto ring = make();
  EXPECT_TRUE(ring->supports(IORING_OP_NOP));
  EXPECT_TRUE(ring->supports(IORING_OP_READ));
  EXPECT_FALSE(ring->supports(255));
  EXPECT_FALSE(ring->supports(-1));
  EXPECT_FALSE(ring->supports(1'000'000));
}

TEST(Ring, IsOpenedOnOneThreadAndUsedOnAnother) {
  auto ring = make();
  std::thread([&] {
    ASSERT_EQ(ring->enable(), 0);
    add_nop(*ring, 5);
    EXPECT_EQ(ring->enter(true, -1), 1);
  }).join();
  EXPECT_EQ(ring->completions(), 1u);
}

// A ring whose thread has ended is closed by another, which has a ring of its own, maybe under the same number.
TEST(Ring, ClosingAnotherThreadsRingLeavesTheOwnAlone) {
  auto own = make();
  ASSERT_EQ(own->enable(), 0);
  std::unique_ptr<Ring> other;
  std::thread([&] {
    other = make();
    ASSERT_EQ(other->enable(), 0);
  }).join();
  other.reset();
  add_nop(*own, 5);
  EXPECT_EQ(own->enter(true, -1), 1);
  EXPECT_EQ(own->completions(), 1u);
}

TEST(Ring, RegisteringGivesErrnos) {
  auto ring = make();
  ASSERT_EQ(ring->enable(), 0);
  EXPECT_EQ(ring->register_resource(9999, nullptr, 0), -EINVAL);
}

TEST(Ring, RefusesImpossibleSizes) {
  EXPECT_FALSE(Ring::create({.sq_entries = 0}).ok());
  EXPECT_FALSE(Ring::create({.sq_entries = 1U << 20}).ok());
  const auto small = Ring::create({.sq_entries = 64, .cq_entries = 8});
  ASSERT_FALSE(small.ok());
  EXPECT_NE(std::string(small.status().message()).find("cq_entries"), std::string::npos) << small.status();
}

TEST(Ring, AForkedChildDoesNotTouchIt) {
  auto ring = make();
  ASSERT_EQ(ring->enable(), 0);
  EXPECT_FALSE(ring->in_forked_child());
  add_nop(*ring, 1);
  EXPECT_EQ(testing::exit_status_of([&] {
              if (!ring->in_forked_child()) return 1;
              if (ring->enter(false, 0) != -EOWNERDEAD) return 2;
              ring.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(ring->unsubmitted(), 1u);
  EXPECT_EQ(ring->enter(true, -1), 1);
  EXPECT_EQ(ring->completions(), 1u);
}

#if defined(__x86_64__)

// This kernel as an older one: setups with a flag that is not in known_flags are answered with EINVAL, by a handler that
// stands for the kernel.
unsigned known_flags = 0;

void answer_setup(int, siginfo_t*, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* params = reinterpret_cast<const io_uring_params*>(registers[REG_RSI]);
  if (params->flags & ~known_flags) {
    registers[REG_RAX] = -EINVAL;
    return;
  }
  const long result = ::syscall(__NR_io_uring_setup, registers[REG_RDI], params, 0, 0, 0, testing::kLetThrough);
  registers[REG_RAX] = result < 0 ? -errno : result;
}

int run_on_old_kernel(unsigned known, unsigned expected) {
  constexpr unsigned kAlways = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
  known_flags = known | kAlways;
  struct sigaction action {};
  action.sa_sigaction = answer_setup;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSYS, &action, nullptr);
  if (!testing::filter_system_call(__NR_io_uring_setup, SECCOMP_RET_TRAP)) return testing::kCannotTry;
  auto ring = Ring::create({});
  if (!ring.ok()) return 1;
  if ((*ring)->setup_flags() != (expected | kAlways)) return 2;
  auto loop = LoopAccess::create(std::move(*ring), Kernel::system(), {});
  if (!loop.ok()) return 3;
  int ends[2];
  if (::pipe(ends) != 0) return 4;
  const auto work = [&]() -> Task<int> {
    char byte = 0;
    const auto read = [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, ends[0], &byte, 1, 0); };
    const auto late = co_await timeout(absl::Milliseconds(1), submit(read));
    if (late.ok()) co_return 5;
    const auto write = [&](io_uring_sqe* sqe) { io_uring_prep_write(sqe, ends[1], "x", 1, 0); };
    JoinHandle<int> reader = spawn(submit(read));
    co_await yield();
    const int written = co_await submit(write);
    const int got = co_await reader;
    co_return written == 1 && got == 1 && byte == 'x' ? 0 : 6;
  };
  return (*loop)->run(work());
}

TEST(Ring, StepsDownToWhatOlderKernelsHave) {
  constexpr unsigned kAll = IORING_SETUP_SUBMIT_ALL;
  constexpr unsigned kCoop = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  constexpr unsigned kSingle = IORING_SETUP_SINGLE_ISSUER;
  constexpr unsigned kDefer = IORING_SETUP_DEFER_TASKRUN;
  const auto best = make();
  if (!(best->setup_flags() & kDefer)) GTEST_SKIP() << "this kernel is an old one itself";
  EXPECT_EQ(testing::exit_status_of([] { return run_on_old_kernel(kAll | kCoop | kSingle | kDefer, kAll | kSingle | kDefer | IORING_SETUP_TASKRUN_FLAG); }), 0);  // 6.1
  EXPECT_EQ(testing::exit_status_of([] { return run_on_old_kernel(kAll | kCoop | kSingle, kAll | kCoop | kSingle); }), 0);  // 6.0
  EXPECT_EQ(testing::exit_status_of([] { return run_on_old_kernel(kAll | kCoop, kAll | kCoop); }), 0);  // 5.19
  EXPECT_EQ(testing::exit_status_of([] { return run_on_old_kernel(kAll, kAll); }), 0);  // 5.18
  EXPECT_EQ(testing::exit_status_of([] { return run_on_old_kernel(0, 0); }), 0);  // 5.15
}

#endif

}  // namespace
}  // namespace weir::internal
