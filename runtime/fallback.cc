#include "weir/runtime/fallback.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "weir/runtime/io/opcodes.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/submissions.h"

namespace weir::internal {
namespace {

using Form = UsedOpcode::Blocking;

// Where io_uring(7) puts the arguments of each system call.

int open(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  // As the ring does, without waiting for the other end of a FIFO.
  const int fd = kernel.system_call(SYS_openat, {entry.fd, entry.addr, entry.open_flags | O_NONBLOCK, entry.len});
  if (fd < 0 || (entry.open_flags & O_NONBLOCK) != 0) return fd;
  if (const int flags = kernel.get_flags(fd); flags >= 0) kernel.set_flags(fd, flags & ~O_NONBLOCK);
  return fd;
}
int close(const io_uring_sqe& entry, Kernel& kernel) noexcept { return kernel.close(entry.fd); }
int stat(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_statx, {entry.fd, entry.addr, entry.statx_flags, entry.len, entry.off});
}
int read(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_pread64, {entry.fd, entry.addr, entry.len, entry.off});
}
int write(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_pwrite64, {entry.fd, entry.addr, entry.len, entry.off});
}
int readv(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_preadv, {entry.fd, entry.addr, entry.len, entry.off});
}
int writev(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_pwritev, {entry.fd, entry.addr, entry.len, entry.off});
}
int sync(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call((entry.fsync_flags & IORING_FSYNC_DATASYNC) != 0 ? SYS_fdatasync : SYS_fsync, {entry.fd});
}
int allocate(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_fallocate, {entry.fd, entry.len, entry.off, entry.addr});
}
int truncate(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_ftruncate, {entry.fd, entry.off});
}
int rename(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_renameat2, {entry.fd, entry.addr, static_cast<int>(entry.len), entry.off, entry.rename_flags});
}
int unlink(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_unlinkat, {entry.fd, entry.addr, entry.unlink_flags});
}
int make_directory(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_mkdirat, {entry.fd, entry.addr, entry.len});
}
int symlink(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_symlinkat, {entry.addr, entry.fd, entry.off});
}
int link(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_linkat, {entry.fd, entry.addr, static_cast<int>(entry.len), entry.off, entry.hardlink_flags});
}
int shut_down(const io_uring_sqe& entry, Kernel& kernel) noexcept {
  return kernel.system_call(SYS_shutdown, {entry.fd, entry.len});
}

constexpr std::array kUsed = {
    UsedOpcode{IORING_OP_NOP, "IORING_OP_NOP", "5.1", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_READV, "IORING_OP_READV", "5.1", Form::kOnThreadForDevices, readv},
    UsedOpcode{IORING_OP_WRITEV, "IORING_OP_WRITEV", "5.1", Form::kOnThreadForDevices, writev},
    UsedOpcode{IORING_OP_FSYNC, "IORING_OP_FSYNC", "5.1", Form::kOnThread, sync},
    UsedOpcode{IORING_OP_READ_FIXED, "IORING_OP_READ_FIXED", "5.1", Form::kOnThreadForDevices, read},
    UsedOpcode{IORING_OP_WRITE_FIXED, "IORING_OP_WRITE_FIXED", "5.1", Form::kOnThreadForDevices, write},
    UsedOpcode{IORING_OP_POLL_ADD, "IORING_OP_POLL_ADD", "5.1", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_SENDMSG, "IORING_OP_SENDMSG", "5.3", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_RECVMSG, "IORING_OP_RECVMSG", "5.3", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_ACCEPT, "IORING_OP_ACCEPT", "5.5", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_ASYNC_CANCEL, "IORING_OP_ASYNC_CANCEL", "5.5", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_CONNECT, "IORING_OP_CONNECT", "5.5", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_FALLOCATE, "IORING_OP_FALLOCATE", "5.6", Form::kOnThread, allocate},
    UsedOpcode{IORING_OP_OPENAT, "IORING_OP_OPENAT", "5.6", Form::kOnThread, open},
    UsedOpcode{IORING_OP_CLOSE, "IORING_OP_CLOSE", "5.6", Form::kInPlace, close},
    UsedOpcode{IORING_OP_STATX, "IORING_OP_STATX", "5.6", Form::kOnThread, stat},
    UsedOpcode{IORING_OP_READ, "IORING_OP_READ", "5.6", Form::kOnThreadForDevices, read},
    UsedOpcode{IORING_OP_WRITE, "IORING_OP_WRITE", "5.6", Form::kOnThreadForDevices, write},
    UsedOpcode{IORING_OP_SEND, "IORING_OP_SEND", "5.6", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_RECV, "IORING_OP_RECV", "5.6", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_SPLICE, "IORING_OP_SPLICE", "5.7", Form::kNone, nullptr},
    UsedOpcode{IORING_OP_SHUTDOWN, "IORING_OP_SHUTDOWN", "5.11", Form::kInPlace, shut_down},
    UsedOpcode{IORING_OP_RENAMEAT, "IORING_OP_RENAMEAT", "5.11", Form::kOnThread, rename},
    UsedOpcode{IORING_OP_UNLINKAT, "IORING_OP_UNLINKAT", "5.11", Form::kOnThread, unlink},
    UsedOpcode{IORING_OP_MKDIRAT, "IORING_OP_MKDIRAT", "5.15", Form::kOnThread, make_directory},
    UsedOpcode{IORING_OP_SYMLINKAT, "IORING_OP_SYMLINKAT", "5.15", Form::kOnThread, symlink},
    UsedOpcode{IORING_OP_LINKAT, "IORING_OP_LINKAT", "5.15", Form::kOnThread, link},
    UsedOpcode{kOpFtruncate, "IORING_OP_FTRUNCATE", "6.9", Form::kOnThread, truncate},
};

}  // namespace

absl::Span<const UsedOpcode> used_opcodes() noexcept { return kUsed; }

const UsedOpcode* used_opcode(int opcode) noexcept {
  const auto at = std::find_if(kUsed.begin(), kUsed.end(), [opcode](const UsedOpcode& used) { return used.opcode == opcode; });
  return at == kUsed.end() ? nullptr : &*at;
}

Fallback::Fallback(Operation& operation, const UsedOpcode& opcode, const io_uring_sqe& entry, Kernel& kernel, ControlRef home,
                   Submissions& owner) noexcept
    : operation_(operation), opcode_(opcode), entry_(entry), kernel_(kernel), home_(std::move(home)), owner_(owner) {}

void Fallback::run() noexcept {
  if (!claim()) return delete this;
  answer(opcode_.blocking(entry_, kernel_));
}

void Fallback::drop() noexcept {
  if (!claim()) return delete this;
  answer(-ECANCELED);
}

void Fallback::answer(int result) noexcept {
  result_ = result;
  const ControlRef home = home_;  // this may be gone before push() has returned
  home->push(*this);              // never refused: the loop waits for its operations
}

void Fallback::deliver() noexcept {
  owner_.fell_back(*this);
  delete this;
}

}  // namespace weir::internal
