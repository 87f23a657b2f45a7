#include "weir/tools/bench/awake.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace weir::bench {
namespace {

[[noreturn]] void spin(int cpu, pid_t parent) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  const sched_param lowest{};
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
  if (sched_setaffinity(0, sizeof one, &one) != 0 || sched_setscheduler(0, SCHED_IDLE, &lowest) != 0) _exit(1);
  for (;;) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

}  // namespace

Awake::Awake() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  const pid_t self = getpid();
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const pid_t spinner = fork();
    if (spinner == 0) spin(cpu, self);
    if (spinner > 0) spinners_.push_back(spinner);
  }
}

Awake::~Awake() {
  for (const pid_t spinner : spinners_) {
    kill(spinner, SIGKILL);
    waitpid(spinner, nullptr, 0);
  }
}

}  // namespace weir::bench
