// Keeps the processors from falling asleep while the benchmark runs.
//
//   const Awake awake;      // until it is destroyed
//
// A processor with nothing to do is halted. Waking a halted one costs 25 to 90 us on a virtual machine, where it goes
// through the host, against 2 to 5 us for a wake-up between running ones; whether a round meets the one or the other is
// chance, and hides what the two sides of a row do. So a process on each processor spins at SCHED_IDLE, below everything
// else: it yields at once to whoever wants to run there, and the scheduler takes its processor for an idle one.
#pragma once

#include <sys/types.h>

#include <vector>

namespace weir::bench {

class Awake {
 public:
  // Forks: before there are threads. A processor on which that fails may fall asleep.
  Awake();
  Awake(const Awake&) = delete;
  Awake& operator=(const Awake&) = delete;
  ~Awake();

  size_t size() const { return spinners_.size(); }

 private:
  std::vector<pid_t> spinners_;
};

}  // namespace weir::bench
