// A child process that answers with its exit status, and system calls that fail in it: for what cannot be undone.
//
//   EXPECT_EQ(exit_status_of([] {
//     if (!refuse_system_call(__NR_io_uring_setup, ENOSYS)) return kCannotTry;
//     return kernel_support().ok() ? 1 : 0;
//   }), 0);
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>

namespace weir::testing {

inline constexpr int kCannotTry = 77;  // the child's way to say that the test has to be skipped

inline constexpr int kThrew = 125;

// Forks; the child calls `function` and ends with its result. A signal that killed it is given as a negative number.
template <class Function>
int exit_status_of(Function function) {
  const pid_t pid = ::fork();
  if (pid < 0) return kCannotTry;
  if (pid == 0) {
    try {
      ::_exit(function());
    } catch (...) {
      ::_exit(kThrew);
    }
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return kCannotTry;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

inline constexpr uint32_t kLetThrough = 0x5eccu;  // as the sixth argument: the filter lets the call through

// From now on system call `number` is answered by `action` (SECCOMP_RET_...), unless its sixth argument is kLetThrough.
inline bool filter_system_call(long number, uint32_t action) {
  const auto jump = [](uint32_t value, uint8_t if_true, uint8_t if_false) {
    return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, if_true, if_false);
  };
  const auto load = [](std::size_t offset) {
    return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
  };
  std::array<sock_filter, 6> filter{
      load(offsetof(seccomp_data, nr)),
      jump(static_cast<uint32_t>(number), 0, 3),
      load(offsetof(seccomp_data, args) + 5 * sizeof(uint64_t)),  // its low half, on a little-endian machine
      jump(kLetThrough, 1, 0),
      sock_filter BPF_STMT(BPF_RET | BPF_K, action),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

inline bool refuse_system_call(long number, int error) {
  return filter_system_call(number, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error));
}

}  // namespace weir::testing
