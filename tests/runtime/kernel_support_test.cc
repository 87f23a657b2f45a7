#include "weir/runtime/kernel_support.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>

#include "weir/runtime/loop.h"
#include "weir/runtime/status.h"
#include "weir/tests/testing/child_process.h"

namespace weir {
namespace {

using testing::exit_status_of;
using testing::kCannotTry;

TEST(KernelSupport, IsThereWhereTheTestsRun) { EXPECT_TRUE(kernel_support().ok()) << kernel_support(); }

// Prints what is missing in `status`; 0 when it is an error that names everything.
int check(const absl::Status& status, int error, std::initializer_list<std::string_view> names) {
  const std::string message(status.message());
  int failures = 0;
  if (status.ok() || status_errno(status) != error) ++failures;
  for (std::string_view name : names) {
    if (message.find(name) == std::string::npos) ++failures;
  }
  if (failures != 0) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return failures;
}

int check_refused(int error, std::initializer_list<std::string_view> names) {
  if (!testing::refuse_system_call(__NR_io_uring_setup, error)) return kCannotTry;
  return check(kernel_support(), error, names) + check(Loop::create().status(), error, names);
}

TEST(KernelSupport, NamesCauseAndCureOfEnosys) {
  const int status = exit_status_of([] { return check_refused(ENOSYS, {"io_uring_setup", "seccomp", "5.15", "CONFIG_IO_URING"}); });
  if (status == kCannotTry) GTEST_SKIP() << "no seccomp filter can be installed here";
  EXPECT_EQ(status, 0);
}

TEST(KernelSupport, NamesCauseAndCureOfEperm) {
  const int status = exit_status_of([] { return check_refused(EPERM, {"io_uring_setup", "io_uring"}); });
  if (status == kCannotTry) GTEST_SKIP() << "no seccomp filter can be installed here";
  EXPECT_EQ(status, 0);
  const std::string message(internal::explain_setup_failure(EPERM).message());
  EXPECT_TRUE(message.find("seccomp") != std::string::npos || message.find("sysctl") != std::string::npos) << message;
}

TEST(KernelSupport, NamesCauseAndCureOfEnomem) {
  const int status = exit_status_of([] { return check_refused(ENOMEM, {"memlock", "ulimit -l", "sq_entries"}); });
  if (status == kCannotTry) GTEST_SKIP() << "no seccomp filter can be installed here";
  EXPECT_EQ(status, 0);
}

TEST(KernelSupport, NamesCauseAndCureOfEmfile) {
  EXPECT_EQ(exit_status_of([] {
              const rlimit none{.rlim_cur = 0, .rlim_max = 0};
              if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return kCannotTry;
              return check(kernel_support(), EMFILE, {"ulimit -n"});
            }),
            0);
}

// A real memlock limit: it counts for the queues where the kernel accounts them, and never for a privileged process.
TEST(KernelSupport, AMemlockLimitIsNamedOrDoesNotCount) {
  constexpr int kEnough = 78;
  const int status = exit_status_of([] {
    constexpr uid_t kNobody = 65534;
    if (::geteuid() != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return kCannotTry;
    const rlimit little{.rlim_cur = 4096, .rlim_max = 4096};
    if (::setrlimit(RLIMIT_MEMLOCK, &little) != 0) return kCannotTry;
    const absl::Status made = Loop::create({.sq_entries = 4096, .cq_entries = 32768}).status();
    return made.ok() ? kEnough : check(made, ENOMEM, {"memlock", "ulimit -l", "4 KiB"});
  });
  if (status == kCannotTry) GTEST_SKIP() << "needs root, to become nobody";
  if (status == kEnough) GTEST_SKIP() << "this kernel charges the queues to the memory cgroup, not to memlock";
  EXPECT_EQ(status, 0);
}

TEST(KernelSupport, ExplainsEveryErrno) {
  for (int error : {ENOSYS, EPERM, EACCES, ENOMEM, EMFILE, ENFILE, EINVAL, EFAULT}) {
    const absl::Status status = internal::explain_setup_failure(error);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status_errno(status), error) << status;
    EXPECT_NE(std::string(status.message()).find("io_uring_setup"), std::string::npos) << status;
  }
  EXPECT_NE(std::string(internal::explain_old_kernel().message()).find("5.15"), std::string::npos);
}

}  // namespace
}  // namespace weir
