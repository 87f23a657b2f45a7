#include "weir/bridge/entrypoint.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "absl/strings/numbers.h"
#include "weir/bridge/loop_annex.h"
#include "weir/bridge/termination.h"
#include "weir/runtime/join.h"

namespace weir::internal {
namespace {

constexpr unsigned kPoolSizeMax = ThreadPool::kSizeMax;

unsigned pool_size_or_environment(unsigned size) {
  if (size != 0) return size;
  const char* text = std::getenv("WEIR_POOL_SIZE");
  if (text == nullptr || *text == '\0') return 0;
  unsigned value = 0;
  if (absl::SimpleAtoi(text, &value) && value <= kPoolSizeMax) return value;
  std::fprintf(stderr, "weir: WEIR_POOL_SIZE=%s is no number from 0 to %u; the default is used\n", text, kPoolSizeMax);
  return 0;
}

// main(), as a task that the first signal cancels.
class Program {
 public:
  explicit Program(absl::Duration limit) : watchdog_(limit) {}

  Task<int> run(Task<int> main) {
    handle_ = spawn(std::move(main), "main");
    if (signal_ != 0) handle_.cancel();
    co_return co_await std::move(handle_);
  }

  static void on_signal(int signal, void* self) { static_cast<Program*>(self)->end(signal); }
  int signal() const noexcept { return signal_; }
  Watchdog& watchdog() noexcept { return watchdog_; }

 private:
  void end(int signal) {
    signal_ = signal;
    watchdog_.start(LoopHandle::current());
    handle_.cancel();
  }

  Watchdog watchdog_;
  JoinHandle<int> handle_;
  int signal_ = 0;
};

}  // namespace

std::unique_ptr<Loop> loop_with_pool(const LoopOptions& options, unsigned pool_size) {
  auto loop = Loop::create(options);
  if (!loop.ok()) throw std::runtime_error(std::string(loop.status().message()));
  BridgeAnnex::of(LoopAccess::engine(**loop)).set_pool_size(pool_size_or_environment(pool_size));
  return std::move(*loop);
}

int run_entrypoint(const EntrypointOptions& options, Task<int> main) {
  Program program(options.shutdown_timeout);
  std::optional<TerminationSignals> signals;  // outlives the loop: a second signal ends the process also at its end
  try {
    const std::unique_ptr<Loop> loop = loop_with_pool(options.loop, options.pool_size);
    BridgeAnnex::of(LoopAccess::engine(*loop)).set_patience(absl::InfiniteDuration());  // the watchdog ends it
    if (options.catch_signals) signals.emplace(loop->handle(), &Program::on_signal, &program);
    class AtEnd {
     public:
      AtEnd(Watchdog& watchdog, LoopHandle handle) noexcept : watchdog_(watchdog), handle_(std::move(handle)) {}
      ~AtEnd() { watchdog_.start(handle_); }  // from here on, for the loop's own end

     private:
      Watchdog& watchdog_;
      const LoopHandle handle_;
    } const at_end(program.watchdog(), loop->handle());
    return loop->run(program.run(std::move(main)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  } catch (const Cancelled&) {
    if (program.signal() != 0) return 128 + program.signal();
    std::fprintf(stderr, "weir: the program was cancelled\n");
  } catch (...) {
    std::fprintf(stderr, "weir: the program ended with an exception of an unknown type\n");
  }
  return 1;
}

}  // namespace weir::internal
