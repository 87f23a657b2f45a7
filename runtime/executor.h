// The one interface by which the runtime knows of threads.
#pragma once

namespace weir {

// A piece of blocking work: an intrusive node, owned by whoever made it, lent to an Executor by submit(). The executor
// calls exactly one of run() and drop(), once, and does not touch the job afterwards: either may destroy it.
class Job {
 public:
  // On one of the executor's threads.
  virtual void run() noexcept = 0;

  // Instead of run(), on any thread: the executor was shut down while the job was queued.
  virtual void drop() noexcept = 0;

  Job* next = nullptr;  // the executor's, between submit() and run() or drop()

 protected:
  ~Job() = default;
};

// Runs jobs on threads of its own, first in, first out. The bridge's ThreadPool is one.
class Executor {
 public:
  // Any thread; never blocks on a running job. Throws PoolClosed after shutdown: the job is then still its maker's.
  virtual void submit(Job& job) = 0;

  // Whether a loop, at its end, waits for those of its calls that still run here.
  virtual bool waited_for() const noexcept { return true; }

 protected:
  ~Executor() = default;
};

}  // namespace weir
