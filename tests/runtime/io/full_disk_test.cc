// A disk that is full, a file that may not grow, a quota that is spent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/io/opcodes.h"
#include "weir/tests/testing/child_process.h"
#include "weir/tests/testing/io.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

TEST(FullDisk, ADeviceThatIsAlwaysFull) {
  on_loop([]() -> Task<> {
    File file = (co_await File::open("/dev/full", O_RDWR)).value();
    EXPECT_EQ((co_await file.write_all_at(as_bytes("x"), 0)).message(), "write /dev/full: No space left on device");
    EXPECT_EQ(status_errno((co_await file.write_at(as_bytes("x"), 0)).status()), ENOSPC);
  });
}

int files_in(const std::string& path) {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path)) ++count;
  return count;
}

// Runs in a process of its own, in a folder in which `limit` bytes find place. `error`: what says so.
Task<> fill(std::string folder, std::size_t limit, int error) {
  const std::string path = folder + "/kept";
  EXPECT_TRUE((co_await write_file(path, "before")).ok());
  const std::string much(4 * limit, 'x');
  const absl::Status refused = co_await write_file(path, much);
  EXPECT_EQ(status_errno(refused), error) << refused;
  EXPECT_EQ((co_await read_file(path)).value_or(""), "before");  // replaced whole, or not at all
  EXPECT_EQ(files_in(folder), 1);                                // the temporary file is gone

  File file = (co_await File::open(folder + "/grows", O_RDWR | O_CREAT)).value();
  std::size_t done = 0;
  absl::Status status;
  while (status.ok() && done < 4 * limit) {
    const absl::StatusOr<std::size_t> count = co_await file.write_at(as_bytes(std::string_view(much).substr(0, 50'000)), done);
    status = count.status();
    if (count.ok()) done += *count;
  }
  EXPECT_EQ(status_errno(status), error) << status;
  EXPECT_EQ(status_errno(co_await file.write_all_at(as_bytes(much), 0)), error);
  EXPECT_LE(done, limit);
  EXPECT_GT(done, 0u);
  EXPECT_TRUE((co_await file.truncate(0)).ok());
  EXPECT_TRUE((co_await file.write_all_at(as_bytes("again"), 0)).ok());  // there is place again
  EXPECT_TRUE((co_await file.close()).ok());
}

class OneThread final : public Executor {
 public:
  void submit(Job& job) override { job.run(); }  // for the truncate of old kernels
};

int run_in_child(const std::string& folder, std::size_t limit, int error) {
  auto loop = Loop::create();
  if (!loop.ok()) return 1;
  OneThread executor;
  (*loop)->set_default_executor(&executor);
  (*loop)->run(fill(folder, limit, error));
  return ::testing::Test::HasFailure() ? 2 : 0;
}

TEST(FullDisk, AFileThatMayNotGrow) {
  const TemporaryFolder folder;
  const int status = exit_status_of([&] {
    constexpr rlim_t kLimit = 1 << 20;
    const rlimit limit{kLimit, kLimit};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return kCannotTry;
    ::signal(SIGXFSZ, SIG_IGN);  // else the kernel ends the program
    return run_in_child(folder.path(), kLimit, EFBIG);
  });
  EXPECT_EQ(status, 0);
}

// In a mount namespace of its own, and a user namespace where that takes one.
bool mount_small(const std::string& path, const std::string& options) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return ::mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

TEST(FullDisk, AFileSystemThatIsFull) {
  const TemporaryFolder folder;
  const int status = exit_status_of([&] {
    if (!mount_small(folder.path(), "size=1m")) return kCannotTry;
    return run_in_child(folder.path(), 1 << 20, ENOSPC);
  });
  if (status == kCannotTry) GTEST_SKIP() << "no file system can be mounted here";
  EXPECT_EQ(status, 0);
}

std::size_t bytes_in(const std::string& folder) {
  std::size_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) sum += entry.file_size();
  return sum;
}

// What a kernel answers whose quota lets the files of a folder have `limit` bytes.
int64_t answer_with_quota(const io_uring_sqe& entry, const std::string& folder, std::size_t limit) {
  const auto* const path = reinterpret_cast<const char*>(entry.addr);
  auto* const bytes = reinterpret_cast<char*>(entry.addr);
  const auto offset = static_cast<off_t>(entry.off);
  switch (entry.opcode) {
    case IORING_OP_OPENAT:
      return ::openat(entry.fd, path, static_cast<int>(entry.open_flags), entry.len);
    case IORING_OP_READ:
      return ::pread(entry.fd, bytes, entry.len, offset);
    case IORING_OP_WRITE: {
      const std::size_t free = limit - bytes_in(folder);
      errno = EDQUOT;
      return free == 0 ? -1 : ::pwrite(entry.fd, bytes, std::min<std::size_t>(entry.len, free), offset);
    }
    case IORING_OP_FSYNC:
      return ::fsync(entry.fd);
    case internal::kOpFtruncate:
      return ::ftruncate(entry.fd, offset);
    case IORING_OP_STATX:
      return ::statx(entry.fd, path, static_cast<int>(entry.statx_flags), entry.len, reinterpret_cast<struct statx*>(entry.addr2));
    case IORING_OP_RENAMEAT:
      return ::renameat2(entry.fd, path, static_cast<int>(entry.len), reinterpret_cast<const char*>(entry.addr2), entry.rename_flags);
    case IORING_OP_CLOSE:
      return ::close(entry.fd);
    default:
      errno = ENOSYS;
      return -1;
  }
}

// Few machines have a file system with quotas to try.
TEST(FullDisk, AQuotaThatIsSpentPlayedByTheTest) {
  const TemporaryFolder folder;
  constexpr std::size_t kLimit = 1 << 20;
  ScriptedLoop scripted;
  scripted.ring.by_hand = {IORING_OP_CLOSE};
  scripted.ring.on_enter = [&](ScriptedRing& ring, bool) {
    const std::vector<io_uring_sqe> pending = ring.pending();
    for (const io_uring_sqe& entry : pending) {
      if (entry.fd == FakeKernel::kWakeUpFd) continue;
      const int64_t result = answer_with_quota(entry, folder.path(), kLimit);
      ring.complete(entry, static_cast<int>(result < 0 ? -errno : result));
    }
  };
  scripted->run(fill(folder.path(), kLimit, EDQUOT));
}

TEST(FullDisk, AQuotaThatIsSpent) {
  const TemporaryFolder folder;
  const int status = exit_status_of([&] {
    if (!mount_small(folder.path(), "size=8m,usrquota,usrquota_block_hardlimit=1m")) return kCannotTry;
    if (::getuid() == 0 && (::chmod(folder.path().c_str(), 0777) != 0 || ::setresuid(65534, 65534, 65534) != 0)) return kCannotTry;
    if (::access(folder.path().c_str(), W_OK | X_OK) != 0) return kCannotTry;  // a folder above it is private
    return run_in_child(folder.path(), 1 << 20, EDQUOT);
  });
  if (status == kCannotTry) GTEST_SKIP() << "no tmpfs with quotas can be mounted here (Linux 6.6)";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace weir
