#include "weir/runtime/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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

int Kernel::get_flags(int fd) noexcept { return result_of(::fcntl(fd, F_GETFL)); }
int Kernel::set_flags(int fd, int flags) noexcept { return result_of(::fcntl(fd, F_SETFL, flags)); }

int Kernel::file_mode(int fd) noexcept {
  struct stat status;
  const int result = result_of(::fstat(fd, &status));
  return result < 0 ? result : static_cast<int>(status.st_mode);
}

int Kernel::truncate(int fd, uint64_t size) noexcept { return result_of(::ftruncate(fd, static_cast<off_t>(size))); }
int Kernel::block_device_size(int fd, uint64_t* size) noexcept { return result_of(::ioctl(fd, BLKGETSIZE64, size)); }

int Kernel::unlink(const char* path) noexcept { return result_of(::unlink(path)); }
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

int64_t Kernel::list_directory(int fd, void* entries, std::size_t size) noexcept {
  const auto result = ::getdents64(fd, entries, size);
  return result < 0 ? -errno : result;
}

}  // namespace weir::internal
