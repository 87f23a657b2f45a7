#include "weir/bridge/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace weir::internal {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free,
              "the kernel reads the atomic as a plain 32-bit word");

// What is left is a bug of weir (a bad address, an unaligned word): going on would hang or spin.
[[noreturn]] void die(const char* operation, int error) {
  std::fprintf(stderr, "weir: futex %s: %s\n", operation, std::strerror(error));
  std::abort();
}

}  // namespace

int64_t monotonic_now_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

bool futex_wait(const std::atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns) noexcept {
  timespec deadline;
  timespec* until = nullptr;
  if (deadline_ns != INT64_MAX) {
    if (deadline_ns < 0) deadline_ns = 0;  // the kernel takes no negative time; zero has passed as well
    deadline.tv_sec = deadline_ns / kNanosecondsPerSecond;
    deadline.tv_nsec = deadline_ns % kNanosecondsPerSecond;
    until = &deadline;
  }
  // FUTEX_WAIT's timeout is relative; the BITSET form's is absolute, and monotonic without FUTEX_CLOCK_REALTIME.
  const long result = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, until, nullptr,
                              FUTEX_BITSET_MATCH_ANY);
  if (result == 0) return true;
  switch (errno) {
    case EAGAIN:  // the word was not `expected` any more
    case EINTR:   // a signal handler ran
      return true;
    case ETIMEDOUT:
      return false;
    default:
      die("wait", errno);
  }
}

void futex_wake(const std::atomic<uint32_t>& word, int count) noexcept {
  if (syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr, 0) < 0) die("wake", errno);
}

}  // namespace weir::internal
