#include "weir/bridge/termination.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>

#include "weir/bridge/futex.h"
#include "weir/bridge/roll_call.h"

namespace weir::internal {

// Pushed by the signal handler: everything in it is made before the handler is installed, and a push is lock-free, an
// eventfd write at most, so it may be done in a handler.
class TerminationSignals::Notice final : public InboxNode {
 public:
  void deliver() noexcept override { first(signal.load(std::memory_order_relaxed), user); }  // ordered by the inbox

  ControlRef control;
  void (*first)(int, void*) = nullptr;
  void* user = nullptr;
  std::atomic<int> signal{0};
};

namespace {

std::atomic<int> signals_seen{0};
std::atomic<bool> taken{false};

}  // namespace

// One for the process, never destroyed: it may be in an inbox. The loop delivers it before its end.
TerminationSignals::Notice& TerminationSignals::notice() {
  static Notice& only = *new Notice;
  return only;
}

void TerminationSignals::handle(int signal) {
  const int error = errno;
  if (signals_seen.fetch_add(1, std::memory_order_relaxed) > 0) ::_exit(128 + signal);  // a counter alone
  Notice& sent = notice();
  sent.signal.store(signal, std::memory_order_relaxed);  // ordered by the inbox
  sent.control->push(sent);
  errno = error;
}

TerminationSignals::TerminationSignals(LoopHandle loop, void (*first)(int, void*), void* user) {
  if (taken.exchange(true, std::memory_order_acquire)) return;  // pairs with the destructor's release
  installed_ = true;
  Notice& sent = notice();
  sent.control = ControlRef::share(&HandleAccess::control(loop));
  sent.first = first;
  sent.user = user;
  signals_seen.store(0, std::memory_order_relaxed);
  struct sigaction action = {};
  action.sa_handler = &TerminationSignals::handle;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &before_int_);
  ::sigaction(SIGTERM, &action, &before_term_);
}

TerminationSignals::~TerminationSignals() {
  if (!installed_) return;
  ::sigaction(SIGINT, &before_int_, nullptr);
  ::sigaction(SIGTERM, &before_term_, nullptr);
  taken.store(false, std::memory_order_release);  // pairs with the constructor's acquire
}

Watchdog::~Watchdog() {
  if (!thread_.joinable()) return;
  over_.store(1, std::memory_order_release);  // pairs with the thread's load
  futex_wake(over_, kWakeAll);
  thread_.join();
}

void Watchdog::give_up(const LoopHandle& loop) const {
  const auto say = [](const std::string& line) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  };
  say("weir: not finished within " + absl::FormatDuration(limit_) + ", giving up\n");
  const std::string names = roll_call(loop, absl::Seconds(1));
  say(names.empty() ? "weir: the loop does not turn: one of its tasks blocks its thread\n" : "weir: still running: " + names + "\n");
  ::_exit(70);
}

void Watchdog::start(LoopHandle loop) {
  if (thread_.joinable() || limit_ == absl::InfiniteDuration()) return;
  const int64_t now_ns = monotonic_now_ns();
  const int64_t deadline_ns = now_ns + std::min(absl::ToInt64Nanoseconds(limit_), INT64_MAX - now_ns);
  thread_ = std::thread([this, deadline_ns, loop = std::move(loop)] {
    while (over_.load(std::memory_order_acquire) == 0) {  // pairs with the destructor's store
      if (!futex_wait(over_, 0, deadline_ns)) give_up(loop);
    }
  });
}

}  // namespace weir::internal
