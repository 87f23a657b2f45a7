#include "weir/runtime/kernel_support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "weir/runtime/ring.h"
#include "weir/runtime/status.h"

namespace weir {
namespace internal {
namespace {

// /proc/sys/kernel/io_uring_disabled (6.6 and later): 0 on, 1 only for a group, 2 off; -1 when there is no such file.
int disabled_by_sysctl() {
  const int fd = ::open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char digit = 0;
  const ssize_t count = ::read(fd, &digit, 1);
  ::close(fd);
  return count == 1 ? digit - '0' : -1;
}

std::string memlock_limit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "unknown";
  if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return absl::StrCat(limit.rlim_cur / 1024, " KiB");
}

}  // namespace

std::string kernel_release() {
  utsname name;
  return ::uname(&name) == 0 ? name.release : "unknown";
}

absl::Status explain_old_kernel() {
  return absl::UnimplementedError(absl::StrCat("io_uring_setup: this kernel (", kernel_release(),
                                               ") is too old; weir needs Linux 5.15 or later"));
}

absl::Status explain_setup_failure(int error) {
  switch (error) {
    case ENOSYS:
      return errno_status(error, absl::StrCat("io_uring_setup: this kernel (", kernel_release(),
                                              ") has no io_uring, or a seccomp filter hides it; use Linux 5.15 or later "
                                              "built with CONFIG_IO_URING, and allow io_uring_setup, io_uring_enter and "
                                              "io_uring_register in the container's seccomp profile"));
    case EPERM:
    case EACCES:
      if (disabled_by_sysctl() > 0) {
        return errno_status(error, absl::StrCat("io_uring_setup: switched off by sysctl kernel.io_uring_disabled=",
                                                disabled_by_sysctl(), "; run: sysctl -w kernel.io_uring_disabled=0"));
      }
      return errno_status(error,
                          "io_uring_setup: forbidden, most likely by a seccomp filter (container runtimes do so by "
                          "default); allow io_uring_setup, io_uring_enter and io_uring_register in the profile, e.g. "
                          "docker run --security-opt seccomp=<profile>.json");
    case ENOMEM:
      return errno_status(error, absl::StrCat("io_uring_setup: the queues do not fit into the memlock limit (",
                                              memlock_limit(),
                                              "); raise it (ulimit -l, LimitMEMLOCK= of systemd, --ulimit memlock= of "
                                              "docker), give CAP_IPC_LOCK, or ask for fewer sq_entries and cq_entries"));
    case EMFILE:
    case ENFILE:
      return errno_status(error, "io_uring_setup: no descriptor left; raise ulimit -n or fs.file-max");
    case EINVAL:
      return errno_status(error, "io_uring_setup: sq_entries or cq_entries out of range (1 to 32768, and cq_entries at "
                                 "least sq_entries), or a kernel older than 5.15");
    default:
      return errno_status(error, "io_uring_setup");
  }
}

}  // namespace internal

absl::Status kernel_support() { return internal::Ring::create({.sq_entries = 8, .cq_entries = 16}).status(); }

}  // namespace weir
