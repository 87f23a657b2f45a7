#include "weir/bridge/thread_pool.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <typeinfo>

#include "weir/bridge/futex.h"
#include "weir/bridge/pool_core.h"

namespace weir {
namespace {

unsigned size_or_default(unsigned size) {
  if (size > ThreadPool::kSizeMax) {
    throw std::invalid_argument("ThreadPool: a size of " + std::to_string(size) + " is more than " +
                                std::to_string(ThreadPool::kSizeMax));
  }
  return size != 0 ? size : std::min(std::max(std::thread::hardware_concurrency(), 4u), 32u);
}

void refuse_on_own_thread(const internal::PoolCore& core, const char* method) {
  if (!core.is_own_thread()) return;
  throw DeadlockError("ThreadPool " + core.name() + ": " + method +
                      " on one of its own threads would wait for itself; close() does not wait");
}

// Of the exception in flight.
std::string describe_exception() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    if (type == nullptr) return "an exception of a foreign language";
    int status = 0;
    char* const name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    std::string description = "an exception of type " + std::string(name != nullptr ? name : type->name());
    std::free(name);
    return description;
  }
}

}  // namespace

ThreadPool::ThreadPool(const ThreadPoolOptions& options)
    : core_(std::make_shared<internal::PoolCore>(size_or_default(options.size), options.name)) {
  core_->start();
}

ThreadPool::~ThreadPool() {
  core_->close();
  if (core_->is_own_thread()) {
    core_->abandon();
  } else {
    core_->wait(INT64_MAX);
  }
}

void ThreadPool::submit(Job& job) { core_->submit(job); }

void ThreadPool::shutdown() {
  refuse_on_own_thread(*core_, "shutdown()");
  core_->close();
  core_->wait(INT64_MAX);
}

void ThreadPool::close() { core_->close(); }

bool ThreadPool::wait(absl::Duration at_most) {
  refuse_on_own_thread(*core_, "wait()");
  const int64_t now_ns = internal::monotonic_now_ns();
  return core_->wait(now_ns + std::min(absl::ToInt64Nanoseconds(at_most), INT64_MAX - now_ns));
}

std::vector<std::string> ThreadPool::abandon() { return core_->abandon(); }

ThreadPoolStats ThreadPool::stats() const { return core_->stats(); }
std::vector<std::string> ThreadPool::busy_threads() const { return core_->busy_threads(); }

void ThreadPool::count_failure() noexcept {
  if (internal::PoolThread* const mine = internal::PoolThread::mine()) internal::PoolThread::count(mine->failed);
}

void internal::CallableJob::run() noexcept {
  {
    const CurrentLoopScope loop(loop_.get());
    const ContextScope context(context_);
    try {
      call();
    } catch (...) {
      ThreadPool::count_failure();
      const PoolThread* const mine = PoolThread::mine();
      const std::string pool = mine != nullptr ? mine->pool().name() : std::string("?");
      if (loop_ && loop_->alive()) {
        loop_->report(std::current_exception(), "pool " + pool);
      } else {
        say("a job of pool " + pool + " failed: " + describe_exception());
      }
    }
  }
  delete this;
}

}  // namespace weir
