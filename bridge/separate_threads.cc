#include "weir/bridge/separate_threads.h"

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "weir/bridge/futex.h"
#include "weir/bridge/futex_mutex.h"

namespace weir::internal {
namespace {

// The attached threads that live, and how the end of the process waits for them. Never destroyed.
std::atomic<uint32_t> attached_threads{0};

void wait_for_attached_threads() {
  // acquire: pairs with the release of a thread's end, whose work is done.
  for (uint32_t left; (left = attached_threads.load(std::memory_order_acquire)) != 0;) futex_wait(attached_threads, left);
}

class SeparateThreads final : public Executor {
 public:
  SeparateThreads(std::string name, bool detach) : name_(std::move(name)), detach_(detach) {}

  void submit(Job& job) override {
    if (!detach_) {
      static const int registered = std::atexit(&wait_for_attached_threads);
      (void)registered;
      attached_threads.fetch_add(1, std::memory_order_relaxed);  // before the thread that takes it back
    }
    try {
      std::thread([this, &job] { run(job); }).detach();
    } catch (...) {
      if (!detach_) attached_threads.fetch_sub(1, std::memory_order_relaxed);
      throw;
    }
  }

  bool waited_for() const noexcept override { return !detach_; }

 private:
  void run(Job& job) const noexcept {
    ::pthread_setname_np(::pthread_self(), name_.c_str());
    job.run();
    // release: pairs with the acquire of wait_for_attached_threads().
    if (!detach_ && attached_threads.fetch_sub(1, std::memory_order_release) == 1) futex_wake(attached_threads, kWakeAll);
  }

  const std::string name_;
  const bool detach_;
};

}  // namespace

Executor& separate_threads(std::string_view name, bool detach) {
  constexpr std::size_t kNameMax = 15;
  static auto& mutex = *new FutexMutex<>;
  static auto& executors = *new std::map<std::pair<std::string, bool>, SeparateThreads*>;
  std::string full = ("sep-" + std::string(name)).substr(0, kNameMax);
  const std::lock_guard lock(mutex);
  SeparateThreads*& executor = executors[{full, detach}];
  if (executor == nullptr) executor = new SeparateThreads(full, detach);
  return *executor;
}

}  // namespace weir::internal
