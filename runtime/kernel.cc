#include "weir/runtime/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace weir::internal {
namespace {

int result_of(int result) noexcept { return result < 0 ? -errno : result; }

int64_t read_clock(clockid_t clock) noexcept {
  timespec now;
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

sigset_t only_sigpipe() noexcept {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGPIPE);
  return signals;
}

// posix_spawn's tables for a plan. posix_spawn itself does between fork and exec only what is safe there.
class SpawnTables {
 public:
  explicit SpawnTables(const ChildPlan& plan) noexcept {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    for (int stream = 0; stream < 3 && error_ == 0; ++stream) {
      const int source = plan.streams[stream];
      if (source >= 0) {
        error_ = ::posix_spawn_file_actions_adddup2(&actions_, source, stream);
      } else if (source == ChildPlan::kNull) {
        error_ = ::posix_spawn_file_actions_addopen(&actions_, stream, "/dev/null", stream == 0 ? O_RDONLY : O_WRONLY, 0);
      }
    }
    if (plan.directory != nullptr && error_ == 0) error_ = ::posix_spawn_file_actions_addchdir_np(&actions_, plan.directory);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    const int group = plan.new_group ? POSIX_SPAWN_SETPGROUP : 0;
    ::posix_spawnattr_setflags(&attributes_, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
  }
  SpawnTables(const SpawnTables&) = delete;
  SpawnTables& operator=(const SpawnTables&) = delete;
  ~SpawnTables() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  int start(const ChildPlan& plan) const noexcept {
    if (error_ != 0) return -error_;
    pid_t pid = 0;
    const int error = ::posix_spawnp(&pid, plan.program, &actions_, &attributes_, plan.arguments, plan.environment);
    return error != 0 ? -error : static_cast<int>(pid);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
  int error_ = 0;
};

class SystemKernel final : public Kernel {};

}  // namespace

Kernel& Kernel::system() {
  static SystemKernel& kernel = *new SystemKernel;  // never destroyed: descriptors are closed until the very end
  return kernel;
}

int64_t Kernel::monotonic_ns() noexcept { return read_clock(CLOCK_MONOTONIC); }
int64_t Kernel::realtime_ns() noexcept { return read_clock(CLOCK_REALTIME); }

int Kernel::make_eventfd() noexcept { return result_of(::eventfd(0, EFD_CLOEXEC)); }

int Kernel::write_eventfd(int fd) noexcept {
  const uint64_t one = 1;
  return result_of(static_cast<int>(::write(fd, &one, sizeof one)));
}

int Kernel::close(int fd) noexcept { return result_of(::close(fd)); }

int Kernel::pin_thread(int cpu) noexcept {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return -EINVAL;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return result_of(::sched_setaffinity(0, sizeof set, &set));
}

int Kernel::socket(int domain, int type, int protocol) noexcept { return result_of(::socket(domain, type, protocol)); }

int Kernel::bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  return result_of(::bind(fd, address, size));
}

int Kernel::listen(int fd, int backlog) noexcept { return result_of(::listen(fd, backlog)); }

int Kernel::local_address(int fd, sockaddr* address, socklen_t* size) noexcept {
  return result_of(::getsockname(fd, address, size));
}

int Kernel::peer_address(int fd, sockaddr* address, socklen_t* size) noexcept {
  return result_of(::getpeername(fd, address, size));
}

int Kernel::set_option(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  return result_of(::setsockopt(fd, level, name, value, size));
}

int Kernel::get_option(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  return result_of(::getsockopt(fd, level, name, value, size));
}

bool Kernel::hung_up(int fd) noexcept {
  pollfd state{.fd = fd, .events = 0, .revents = 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

int Kernel::get_flags(int fd) noexcept { return result_of(::fcntl(fd, F_GETFL)); }
int Kernel::set_flags(int fd, int flags) noexcept { return result_of(::fcntl(fd, F_SETFL, flags)); }

int Kernel::file_mode(int fd) noexcept {
  struct stat status;
  const int result = result_of(::fstat(fd, &status));
  return result < 0 ? result : static_cast<int>(status.st_mode);
}

int Kernel::block_device_size(int fd, uint64_t* size) noexcept { return result_of(::ioctl(fd, BLKGETSIZE64, size)); }

int Kernel::unlink(const char* path) noexcept { return result_of(::unlink(path)); }
int Kernel::identify(const char* path, FileIdentity* identity) noexcept {
  struct stat status;
  const int result = result_of(::lstat(path, &status));
  if (result >= 0) *identity = FileIdentity{.device = status.st_dev, .inode = status.st_ino};
  return result;
}
int Kernel::process() noexcept { return ::getpid(); }
int Kernel::make_pipe(int fds[2]) noexcept { return result_of(::pipe2(fds, O_CLOEXEC)); }

void Kernel::block_sigpipe() noexcept {
  const sigset_t signals = only_sigpipe();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void Kernel::drop_sigpipe() noexcept {
  const sigset_t signals = only_sigpipe();
  const timespec at_once{};
  ::sigtimedwait(&signals, nullptr, &at_once);
}

int Kernel::system_call(long number, const SystemCallArguments& arguments) noexcept {
  const auto& [a, b, c, d, e, f] = arguments.values;
  return result_of(static_cast<int>(::syscall(number, a, b, c, d, e, f)));
}

int Kernel::change_signal_mask(int how, const sigset_t* signals, sigset_t* before) noexcept {
  return -::pthread_sigmask(how, signals, before);
}

int Kernel::make_signalfd(const sigset_t& signals) noexcept {
  return result_of(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

int Kernel::read_signal(int fd, signalfd_siginfo* signal) noexcept {
  return result_of(static_cast<int>(::read(fd, signal, sizeof *signal)));
}

int Kernel::start_child(const ChildPlan& plan) noexcept { return SpawnTables(plan).start(plan); }

int Kernel::open_pidfd(int pid) noexcept { return result_of(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

void Kernel::end_child(int pid) noexcept {
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

int Kernel::signal_child(int pidfd, int signal) noexcept {
  return result_of(static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0)));
}

int Kernel::signal_group(int group, int signal) noexcept { return result_of(::kill(-group, signal)); }

int Kernel::reap_child(int pidfd, bool wait, siginfo_t* end) noexcept {
  constexpr auto kByPidfd = static_cast<idtype_t>(3);  // P_PIDFD, unknown to older headers
  *end = {};
  int result = 0;
  do {
    result = result_of(::waitid(kByPidfd, static_cast<id_t>(pidfd), end, wait ? WEXITED : WEXITED | WNOHANG));
  } while (result == -EINTR);
  return result;
}

int Kernel::copy_above_streams(int fd) noexcept { return result_of(::fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

int64_t Kernel::list_directory(int fd, void* entries, std::size_t size) noexcept {
  const auto result = ::getdents64(fd, entries, size);
  return result < 0 ? -errno : result;
}

}  // namespace weir::internal
