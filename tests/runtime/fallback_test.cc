#include "weir/runtime/fallback.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "weir/runtime.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/io/opcodes.h"
#include "weir/runtime/operation.h"
#include "weir/tests/testing/child_process.h"
#include "weir/tests/testing/executors.h"
#include "weir/tests/testing/io_tour.h"
#include "weir/tests/testing/old_ring.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing
using Form = internal::UsedOpcode::Blocking;

// A loop on that kernel, without the bridge's pool.
std::unique_ptr<Loop> loop_on(const OldKernel& kernel, Executor* executor, std::set<int> missing = {}) {
  internal::Engine::set_annex_factory(nullptr);
  auto ring = OldRing::create(kernel, std::move(missing));
  if (!ring.ok()) throw std::runtime_error(ring.status().ToString());
  auto loop = internal::LoopAccess::create(std::move(*ring), internal::Kernel::system(), {}).value();
  loop->set_default_executor(executor);
  return loop;
}

void tour(Loop& loop, IoTour kind) {
  const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
  const auto all = [&]() -> Task<> {
    co_await tour_of_files(folder, kind);
    co_await tour_of_paths(folder, kind);
    co_await tour_of_streams(folder, kind);
  };
  loop.run(all());
}

// --- old kernels

TEST(Fallback, OldKernelsDoAllOfIo) {
  for (const OldKernel& kernel : kOldKernels) {
    SCOPED_TRACE(kernel.release);
    ThreadForEach executor;
    const auto loop = loop_on(kernel, &executor);
    tour(*loop, IoTour::kAllWork);
    EXPECT_EQ(executor.jobs(), 1u);  // ftruncate
  }
}

TEST(Fallback, OldKernelsWithoutAnExecutorSaySo) {
  for (const OldKernel& kernel : kOldKernels) {
    SCOPED_TRACE(kernel.release);
    const auto loop = loop_on(kernel, nullptr);
    tour(*loop, IoTour::kOrSaySo);
  }
}

TEST(Fallback, TheTableKnowsWhatOldKernelsHave) {
  const auto is_older = [](std::string since, std::string release) {
    const auto number = [](const std::string& text) { return 1000 * std::stoi(text) + std::stoi(text.substr(text.find('.') + 1)); };
    return number(since) <= number(release);
  };
  for (const OldKernel& kernel : kOldKernels) {
    for (const internal::UsedOpcode& used : internal::used_opcodes()) {
      EXPECT_EQ(used.opcode <= kernel.last_opcode, is_older(used.since, kernel.release)) << used.name << " on " << kernel.release;
    }
  }
}

// --- each request by itself

// Remembers the calls, and makes none.
class RecordingKernel final : public internal::Kernel {
 public:
  int system_call(long number, const internal::SystemCallArguments& arguments) noexcept override {
    number_ = number;
    values_ = arguments.values;
    return 7;
  }
  int get_flags(int) noexcept override { return O_NONBLOCK | O_APPEND; }
  int set_flags(int fd, int flags) noexcept override {
    flags_of_ = fd;
    flags_ = flags;
    return 0;
  }

  long number_ = 0;
  std::array<long, 6> values_{};
  int flags_of_ = -1;
  int flags_ = -1;
};

// Each argument goes where the system call has it, as io_uring_enter(2) lists them.
TEST(Fallback, EachArgumentComesToItsPlace) {
  constexpr int kFd = 3, kAddress = 4096, kLength = 5, kOffset = 6, kFlags = 0x300;
  io_uring_sqe entry{};
  entry.fd = kFd;
  entry.addr = kAddress;
  entry.len = kLength;
  entry.off = kOffset;
  entry.rw_flags = kFlags;  // one word for all requests
  class Expected {
   public:
    int opcode;
    long number;
    std::array<long, 6> values;
  };
  const Expected all[] = {
      {IORING_OP_OPENAT, SYS_openat, {kFd, kAddress, kFlags | O_NONBLOCK, kLength}},
      {IORING_OP_STATX, SYS_statx, {kFd, kAddress, kFlags, kLength, kOffset}},
      {IORING_OP_READ, SYS_pread64, {kFd, kAddress, kLength, kOffset}},
      {IORING_OP_READ_FIXED, SYS_pread64, {kFd, kAddress, kLength, kOffset}},
      {IORING_OP_WRITE, SYS_pwrite64, {kFd, kAddress, kLength, kOffset}},
      {IORING_OP_WRITE_FIXED, SYS_pwrite64, {kFd, kAddress, kLength, kOffset}},
      {IORING_OP_READV, SYS_preadv, {kFd, kAddress, kLength, kOffset}},
      {IORING_OP_WRITEV, SYS_pwritev, {kFd, kAddress, kLength, kOffset}},
      {IORING_OP_FALLOCATE, SYS_fallocate, {kFd, kLength, kOffset, kAddress}},
      {internal::kOpFtruncate, SYS_ftruncate, {kFd, kOffset}},
      {IORING_OP_RENAMEAT, SYS_renameat2, {kFd, kAddress, kLength, kOffset, kFlags}},
      {IORING_OP_UNLINKAT, SYS_unlinkat, {kFd, kAddress, kFlags}},
      {IORING_OP_MKDIRAT, SYS_mkdirat, {kFd, kAddress, kLength}},
      {IORING_OP_SYMLINKAT, SYS_symlinkat, {kAddress, kFd, kOffset}},
      {IORING_OP_LINKAT, SYS_linkat, {kFd, kAddress, kLength, kOffset, kFlags}},
      {IORING_OP_SHUTDOWN, SYS_shutdown, {kFd, kLength}},
  };
  for (const Expected& expected : all) {
    const internal::UsedOpcode* const used = internal::used_opcode(expected.opcode);
    ASSERT_NE(used, nullptr) << expected.opcode;
    RecordingKernel kernel;
    EXPECT_EQ(used->blocking(entry, kernel), 7) << used->name;
    EXPECT_EQ(kernel.number_, expected.number) << used->name;
    EXPECT_EQ(kernel.values_, expected.values) << used->name;
  }
  for (const auto& [flags, number] : {std::pair<unsigned, long>(IORING_FSYNC_DATASYNC, SYS_fdatasync), {0u, SYS_fsync}}) {
    entry.fsync_flags = flags;
    RecordingKernel kernel;
    EXPECT_EQ(internal::used_opcode(IORING_OP_FSYNC)->blocking(entry, kernel), 7);
    EXPECT_EQ(kernel.number_, number);
    EXPECT_EQ(kernel.values_, (std::array<long, 6>{kFd}));
  }
}

// A file is opened without waiting for the other end of a FIFO, and then is as it was asked for.
TEST(Fallback, AnOpenedFileBlocksUnlessItWasAskedNotTo) {
  io_uring_sqe entry{};
  RecordingKernel kernel;
  const internal::UsedOpcode& open = *internal::used_opcode(IORING_OP_OPENAT);
  EXPECT_EQ(open.blocking(entry, kernel), 7);
  EXPECT_EQ(kernel.flags_of_, 7);
  EXPECT_EQ(kernel.flags_, O_APPEND);
  kernel.flags_of_ = -1;
  entry.open_flags = O_NONBLOCK;
  EXPECT_EQ(open.blocking(entry, kernel), 7);
  EXPECT_EQ(kernel.flags_of_, -1);
}

TEST(Fallback, EachBlockingFormDoesTheWork) {
  for (const internal::UsedOpcode& used : internal::used_opcodes()) {
    // Without IORING_OP_READ a loop cannot be woken.
    if (used.form == Form::kNone || used.opcode == IORING_OP_READ) continue;
    SCOPED_TRACE(used.name);
    ThreadForEach executor;
    const auto loop = loop_on(OldKernel(), &executor, {used.opcode});
    const bool of_devices = used.form == Form::kOnThreadForDevices;
    tour(*loop, of_devices ? IoTour::kOrSaySo : IoTour::kAllWork);
    // Memory is not registered everywhere.
    const bool of_registered = used.opcode == IORING_OP_READ_FIXED || used.opcode == IORING_OP_WRITE_FIXED;
    if (!of_registered) {
      EXPECT_EQ(executor.jobs() != 0, used.form != Form::kInPlace);
    }
  }
}

TEST(Fallback, WithoutAnExecutorEachSaysSo) {
  for (const internal::UsedOpcode& used : internal::used_opcodes()) {
    // A loop cannot do without these.
    if (used.opcode == IORING_OP_READ || used.opcode == IORING_OP_ASYNC_CANCEL || used.opcode == IORING_OP_POLL_ADD) continue;
    SCOPED_TRACE(used.name);
    const auto loop = loop_on(OldKernel(), nullptr, {used.opcode});
    tour(*loop, IoTour::kOrSaySo);
  }
}

Task<absl::Status> truncate_a_file(std::string path) {
  absl::StatusOr<File> file = co_await File::open(path, O_RDWR | O_CREAT);
  if (!file.ok()) co_return file.status();
  co_return co_await file->truncate(10);
}

TEST(Fallback, TheStatusNamesRequestKernelAndCure) {
  const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
  const auto loop = loop_on(kOldKernels[0], nullptr);
  const std::string path = folder.file("x");
  const absl::Status status = loop->run(truncate_a_file(path));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(status_errno(status), ENOSYS);
  EXPECT_EQ(status.message(), "ftruncate " + path + ": this kernel (" + internal::kernel_release() +
                                  ") lacks IORING_OP_FTRUNCATE, which came with Linux 6.9; the loop does without if it has "
                                  "threads for it: Loop::set_default_executor(), or link the bridge");
  const auto connect = []() -> Task<absl::Status> { co_return (co_await TcpStream::connect(loopback())).status(); };
  const auto without = loop_on(OldKernel(), nullptr, {IORING_OP_CONNECT});
  EXPECT_EQ(without->run(connect()).message(), "connect 127.0.0.1:0: this kernel (" + internal::kernel_release() +
                                                   ") lacks IORING_OP_CONNECT, which came with Linux 5.5; use a newer kernel");
}

TEST(Fallback, SubmitGivesTheErrno) {
  const auto loop = loop_on(kOldKernels[0], nullptr);
  const auto truncate = [](io_uring_sqe* sqe) { io_uring_prep_rw(internal::kOpFtruncate, sqe, 0, nullptr, 0, 0); };
  EXPECT_EQ(loop->run(submit(truncate)), -ENOSYS);
  const auto unknown = [](io_uring_sqe* sqe) { io_uring_prep_rw(58, sqe, 0, nullptr, 0, 0); };
  EXPECT_EQ(loop->run(submit(unknown)), -EACCES);  // not weir's: the kernel answers
}

// --- jobs

class ByHandTest : public ::testing::Test {
 protected:
  const TemporaryFolder folder{"/tmp"};  // a socket's path has 107 bytes at most
  ByHand executor;
  const std::unique_ptr<Loop> loop = loop_on(kOldKernels[0], &executor);
  const std::string path = folder.file("x");
};

TEST_F(ByHandTest, ACancelWithdrawsAJobThatHasNotBegun) {
  const auto body = [this]() -> Task<> {
    auto cutting = spawn(truncate_a_file(path));
    while (executor.jobs.empty()) co_await yield();
    cutting.cancel();
    EXPECT_THROW((void)co_await cutting, Cancelled);  // although nobody has taken the job
  };
  loop->run(body());
  executor.take().run();  // does nothing, frees it
  EXPECT_EQ(loop->run(read_file(path)).value(), "");
}

TEST_F(ByHandTest, ACancelWaitsForAJobThatRuns) {
  const auto body = [this]() -> Task<> {
    auto cutting = spawn(truncate_a_file(path));
    while (executor.jobs.empty()) co_await yield();
    executor.take().run();  // its result is on the way
    cutting.cancel();
    absl::Status status = co_await cutting;
    EXPECT_TRUE(status.ok()) << status;  // it arrived in spite of the cancel
  };
  loop->run(body());
  EXPECT_EQ(loop->run(read_file(path)).value().size(), 10u);
}

// What a loop does at its end with all that no task waits for.
TEST_F(ByHandTest, CancellingAllWaitsForJobsThatRun) {
  class Spared final : public internal::Operation {
   public:
    Spared() : Operation(Waits::kForPeer) {}

   private:
    bool fill(io_uring_sqe&) noexcept override { return false; }
    void complete() noexcept override {}
  };
  const auto body = [this]() -> Task<> {
    auto first = spawn(truncate_a_file(path));
    auto second = spawn(truncate_a_file(folder.file("y")));
    auto third = spawn(truncate_a_file(folder.file("z")));
    while (executor.jobs.size() < 3) co_await yield();
    executor.take().run();
    executor.take().run();  // two run, one has not begun
    const Spared spared;
    internal::thread_state.engine->submissions().cancel_all_but(spared);
    EXPECT_TRUE((co_await first).ok());
    EXPECT_TRUE((co_await second).ok());
    EXPECT_EQ((co_await third).code(), absl::StatusCode::kCancelled);
    executor.take().run();
  };
  loop->run(body());
}

TEST_F(ByHandTest, ADroppedJobIsCancelled) {
  const auto body = [this]() -> Task<> {
    auto cutting = spawn(truncate_a_file(path));
    while (executor.jobs.empty()) co_await yield();
    executor.take().drop();
    EXPECT_EQ((co_await cutting).code(), absl::StatusCode::kCancelled);
  };
  loop->run(body());
}

TEST_F(ByHandTest, ClosingTheFileWithdrawsTheJob) {
  const auto body = [this]() -> Task<> {
    File file = (co_await File::open(path, O_RDWR | O_CREAT)).value();
    auto cutting = spawn(file.truncate(10));
    while (executor.jobs.empty()) co_await yield();
    EXPECT_TRUE((co_await file.close()).ok());
    EXPECT_EQ((co_await cutting).code(), absl::StatusCode::kCancelled);
    executor.take().run();
  };
  loop->run(body());
}

class Closed final : public Executor {
 public:
  void submit(Job&) override { throw std::runtime_error("closed"); }
};

TEST(Fallback, AnExecutorThatRefusesIsACancel) {
  const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
  Closed executor;
  const auto loop = loop_on(kOldKernels[0], &executor);
  EXPECT_EQ(loop->run(truncate_a_file(folder.file("x"))).code(), absl::StatusCode::kCancelled);
}

TEST(Fallback, TheEndOfALoopWaitsForTheJob) {
  const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
  ThreadForEach executor;
  for (int round = 0; round < 20; ++round) {
    auto loop = loop_on(kOldKernels[0], &executor);
    const auto body = [&]() -> Task<> {
      (void)spawn(truncate_a_file(folder.file("x")));
      for (int i = 0; i < round; ++i) co_await yield();
    };
    loop->run(body());
  }
}

// --- filters

// io_uring_register(2) with IORING_REGISTER_PROBE is refused from now on.
bool forbid_the_probe() {
  const auto jump = [](uint32_t value, uint8_t if_true, uint8_t if_false) {
    return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, if_true, if_false);
  };
  std::array<sock_filter, 6> filter{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      jump(__NR_io_uring_register, 0, 3),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + sizeof(uint64_t)),
      jump(IORING_REGISTER_PROBE, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(Fallback, WhereTheProbeIsForbiddenWeirTakesTheOldestKernel) {
  const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
  const int status = exit_status_of([&] {
    if (!forbid_the_probe()) return kCannotTry;
    internal::Engine::set_annex_factory(nullptr);
    ThreadForEach executor;
    auto loop = Loop::create();
    if (!loop.ok()) return 1;
    (*loop)->set_default_executor(&executor);
    tour(**loop, IoTour::kAllWork);
    return !::testing::Test::HasFailure() && executor.jobs() == 1 ? 0 : 2;
  });
  if (status == kCannotTry) GTEST_SKIP() << "no seccomp filter can be set here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace weir
