// The two signals that end a program, SIGINT and SIGTERM, as a callback on its loop; and the watchdog of its end.
#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <thread>

#include "absl/time/time.h"
#include "weir/runtime/loop_handle.h"

namespace weir::internal {

// While it lives, the first SIGINT or SIGTERM of the process runs `first(signal)` on the loop, and a second one ends the
// process with _exit(128 + signal), from the handler itself, so also when the loop is stuck. One at a time in a process;
// a second instance catches nothing.
class TerminationSignals {
 public:
  TerminationSignals(LoopHandle loop, void (*first)(int signal, void* user), void* user);
  TerminationSignals(const TerminationSignals&) = delete;
  TerminationSignals& operator=(const TerminationSignals&) = delete;
  ~TerminationSignals();

 private:
  class Notice;

  static Notice& notice();
  static void handle(int signal);

  bool installed_ = false;
  struct sigaction before_int_ = {};
  struct sigaction before_term_ = {};
};

// Ends the process with _exit(70), and lines on stderr that name what still runs on `loop`, when it lives longer than
// `limit` after start(). A thread that sleeps on a futex, from start() on.
class Watchdog {
 public:
  explicit Watchdog(absl::Duration limit) : limit_(limit) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  void start(LoopHandle loop);  // idempotent; one thread at a time

 private:
  [[noreturn]] void give_up(const LoopHandle& loop) const;

  const absl::Duration limit_;
  std::atomic<uint32_t> over_{0};
  std::thread thread_;
};

}  // namespace weir::internal
