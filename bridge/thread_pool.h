// Threads that run blocking jobs, first in, first out.
//
//   ThreadPool pool({.size = 4, .name = "io"});         // threads "io-0" … "io-3"
//   pool.submit([file = std::move(file)] { file.sync(); });
//   pool.shutdown();
//
// A ThreadPool belongs to no loop: a loop submits Jobs to it (Loop::set_default_executor, threaded(f).on(pool)), anyone
// else callables, which run in a snapshot of the context variables, and know the loop, of the thread that submitted them.
// At most `size` threads run jobs at once. A worker that only waits for somebody (in sync_await, in a put
// on a full queue, in a full stream) is parked, and while work is queued a spare thread, one of at most 256, works in its
// place; so jobs that wait for jobs behind them do not lock the pool up. A spare thread ends when it has long not been
// needed. When 256 are not enough, work waits, and the pool says so once on stderr.
//
// Threads: every method may be called on any thread, but shutdown() and wait() not on the pool's own. Destroyed there, a
// pool shuts down without waiting.
// Cost: submit(Job&) takes no lock and allocates nothing, so a loop may call it; it makes one system call when it wakes
// a sleeping worker, none while one is on its way or all are busy. A submit of a callable allocates its job. A thread is
// made in submit() only as a spare one. Jobs and callables are destroyed as soon as they have run.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "weir/bridge/parked.h"
#include "weir/runtime/context.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/loop_handle.h"

namespace weir {

namespace internal {
class PoolCore;

// A callable that was submitted, with a snapshot of what surrounded it.
class CallableJob : public Job {
 public:
  CallableJob() : context_(Context::current()), loop_(ControlRef::share(current_control)) {}
  CallableJob(const CallableJob&) = delete;
  CallableJob& operator=(const CallableJob&) = delete;

  void run() noexcept final;
  void drop() noexcept final { delete this; }

 protected:
  virtual ~CallableJob() = default;
  virtual void call() = 0;

 private:
  Context context_;
  ControlRef loop_;  // none: no loop was known
};

template <class Callable>
class TypedCallableJob final : public CallableJob {
 public:
  explicit TypedCallableJob(Callable&& callable) : callable_(std::move(callable)) {}
  explicit TypedCallableJob(const Callable& callable) : callable_(callable) {}

 private:
  void call() override { callable_(); }
  Callable callable_;
};

}  // namespace internal

struct ThreadPoolOptions {
  unsigned size = 0;              // threads; 0: as many as the machine has cores, but at least 4 and at most 32
  std::string_view name = "pool";  // of the threads: "pool-0" …; the first characters of it, the system takes 15 in all
};

struct ThreadPoolStats {
  unsigned size = 0;     // threads that run jobs at once
  unsigned spare = 0;    // threads beyond them, which stand in for parked ones
  unsigned busy = 0;     // threads that have a job, parked ones included
  unsigned parked = 0;   // threads whose job waits for somebody
  uint64_t queued = 0;   // jobs that wait for a thread
  uint64_t done = 0;     // jobs that have ended; counted just after what they did can be seen
  uint64_t failed = 0;   // of these, those that threw
};

class ThreadPool final : public Executor {
 public:
  // A scope in which the calling job waits for somebody. On a thread that is no pool's it does nothing.
  using Parked = internal::Parked;

  static constexpr unsigned kSizeMax = 4096;
  static constexpr unsigned kSparesMax = 256;

  // Throws std::invalid_argument for a size above kSizeMax, std::system_error if the system gives no threads.
  explicit ThreadPool(const ThreadPoolOptions& options = {});
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  // Throws PoolClosed after shutdown: the job is then still its maker's.
  void submit(Job& job) override;

  // The same for what can be called without arguments; the pool owns it. What it throws is counted as failed and goes to
  // LoopOptions::on_unhandled of the loop that was known in the call (LoopHandle::current()), if it is still there; else
  // it is a line on stderr. Queued at shutdown, it is destroyed without having run.
  template <class Callable>
    requires(std::invocable<std::decay_t<Callable>&> && !std::derived_from<std::decay_t<Callable>, Job>)
  void submit(Callable&& callable) {
    auto* const job = new internal::TypedCallableJob<std::decay_t<Callable>>(std::forward<Callable>(callable));
    try {
      submit(static_cast<Job&>(*job));
    } catch (...) {
      job->drop();
      throw;
    }
  }

  // Drops the queued jobs, here; lets running ones finish, and those that a free thread is about to take; returns when
  // every thread has ended. Idempotent. Throws DeadlockError on the pool's own threads.
  void shutdown();

  // shutdown() in parts, for who must go on meanwhile: close() drops the queued jobs and does not wait; wait() is false
  // when threads still run at the deadline; abandon() lets those go, gives their names, and nothing waits for them any
  // more. They hold nothing of the pool that does not outlive it.
  void close();
  bool wait(absl::Duration at_most);
  std::vector<std::string> abandon();

  ThreadPoolStats stats() const;
  std::vector<std::string> busy_threads() const;  // names of those that have a job

  // The job that runs on the calling thread has failed: for jobs that hand their exception to somebody.
  static void count_failure() noexcept;

 private:
  const std::shared_ptr<internal::PoolCore> core_;  // the threads hold it too
};

}  // namespace weir
