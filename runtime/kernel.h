// The system calls of the loop's floor that are no SQE, and the clocks, behind one table: the seam at which tests play
// another kernel (no descriptors left, a clock that jumps). Everything here is cold or, for the clock, cheap (vdso).
#pragma once

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::internal {

// What a child process is made of. Pointers are the caller's.
struct ChildPlan {
  static constexpr int kInherit = -1;
  static constexpr int kNull = -2;

  const char* program;             // looked for in $PATH unless it has a slash
  char* const* arguments;          // ended by a null pointer
  char* const* environment;        // likewise
  const char* directory;           // null: as the parent
  int streams[3];                  // standard input, output, errors: kInherit, kNull, or a descriptor > 2 that becomes it
  bool new_group;
};

// Which file a path leads to, whatever it is called.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// As many as are given, the rest are 0.
class SystemCallArguments {
 public:
  template <class... T>
  SystemCallArguments(T... arguments) noexcept : values{static_cast<long>(arguments)...} {}  // NOLINT: {fd, address, …} at the call
  const std::array<long, 6> values;
};

// Results are as the kernel's: a value >= 0, or a negative errno. Any thread.
class Kernel {
 public:
  virtual ~Kernel() = default;

  virtual int64_t monotonic_ns() noexcept;  // CLOCK_MONOTONIC
  virtual int64_t realtime_ns() noexcept;   // CLOCK_REALTIME

  virtual int make_eventfd() noexcept;  // close-on-exec; blocking, as io_uring answers EAGAIN for others
  virtual int write_eventfd(int fd) noexcept;
  virtual int close(int fd) noexcept;
  virtual int pin_thread(int cpu) noexcept;

  virtual int socket(int domain, int type, int protocol) noexcept;
  virtual int bind(int fd, const sockaddr* address, socklen_t size) noexcept;
  virtual int listen(int fd, int backlog) noexcept;
  virtual int local_address(int fd, sockaddr* address, socklen_t* size) noexcept;
  virtual int peer_address(int fd, sockaddr* address, socklen_t* size) noexcept;
  virtual int set_option(int fd, int level, int name, const void* value, socklen_t size) noexcept;
  virtual int get_option(int fd, int level, int name, void* value, socklen_t* size) noexcept;
  virtual bool hung_up(int fd) noexcept;              // poll(2) says POLLHUP or POLLERR
  virtual int get_flags(int fd) noexcept;             // F_GETFL
  virtual int set_flags(int fd, int flags) noexcept;  // F_SETFL
  virtual int file_mode(int fd) noexcept;             // what fstat(2) says as st_mode
  virtual int block_device_size(int fd, uint64_t* size) noexcept;
  virtual int unlink(const char* path) noexcept;
  virtual int identify(const char* path, FileIdentity* identity) noexcept;  // lstat(2)
  virtual int process() noexcept;                     // getpid(2)
  virtual int make_pipe(int fds[2]) noexcept;         // close-on-exec
  virtual void block_sigpipe() noexcept;              // on the calling thread
  virtual void drop_sigpipe() noexcept;               // one that is pending on the calling thread, and blocked

  virtual int system_call(long number, const SystemCallArguments& arguments) noexcept;  // see fallback.h

  virtual int change_signal_mask(int how, const sigset_t* signals, sigset_t* before) noexcept;  // of the calling thread
  virtual int make_signalfd(const sigset_t& signals) noexcept;                // close-on-exec, not blocking
  virtual int read_signal(int fd, signalfd_siginfo* signal) noexcept;         // -EAGAIN: there is none

  // A child with default dispositions and an empty signal mask. Its number, once the program is loaded; or what it
  // failed with. The calling thread stands still until then; no other thread does, and nothing is copied (vfork).
  virtual int start_child(const ChildPlan& plan) noexcept;
  virtual int open_pidfd(int pid) noexcept;
  virtual void end_child(int pid) noexcept;                                   // kills and reaps; for one without a pidfd
  virtual int signal_child(int pidfd, int signal) noexcept;
  virtual int signal_group(int group, int signal) noexcept;
  // Takes a child's end: siginfo's si_pid stays 0 if it has not come, which happens only without `wait`.
  virtual int reap_child(int pidfd, bool wait, siginfo_t* end) noexcept;
  virtual int copy_above_streams(int fd) noexcept;                            // close-on-exec, 3 or more

  virtual int64_t list_directory(int fd, void* entries, std::size_t size) noexcept;  // getdents64(2)

  // The real one. Lives for ever.
  static Kernel& system();

 protected:
  Kernel() = default;
};

}  // namespace weir::internal
