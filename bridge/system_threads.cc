#include "weir/bridge/system_threads.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace weir::internal {
namespace {

long membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

bool SystemThreads::has_heavy_fence() noexcept {
  static const bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
  return registered;
}

void SystemThreads::heavy_fence() noexcept {
  if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) return;
  // Whoever runs light relies on this fence: without it a wake-up could be lost.
  std::fprintf(stderr, "weir: membarrier: %s\n", std::strerror(errno));
  std::abort();
}

}  // namespace weir::internal
