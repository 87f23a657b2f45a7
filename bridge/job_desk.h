// Where jobs and workers meet: the queue, the gate, and the order in which each side uses both.
//
// A submitter pushes, then calls. A worker looks at the queue; finding none, it counts as sleeping, looks again, and
// sleeps. Why no job is left behind: worker_gate.h.
//
// `call` in all of these is what brings a worker, by way of gate().call(): the pool's, which can make threads.
#pragma once

#include "weir/bridge/job_queue.h"
#include "weir/bridge/worker_gate.h"
#include "weir/runtime/executor.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class JobDesk {
 public:
  JobDesk(unsigned size, unsigned spares_max) : gate_(size, spares_max) {}

  WorkerGate<Threads>& gate() { return gate_; }
  const WorkerGate<Threads>& gate() const { return gate_; }

  // Any thread. False: closed.
  template <class Call>
  bool submit(Job& job, Call call) {
    if (!queue_.push(job)) return false;
    call();
    return true;
  }

  // A worker. The next job; nullptr: the worker counts as sleeping now, and calls gate().sleep(). `woken`: it has a part
  // in the gate's `waking`, until it has looked at the queue here.
  template <class Call>
  Job* next_job(bool& woken, Call call) {
    if (gate_.to_sleep_if_surplus(woken)) return nullptr;
    const auto [job, left] = queue_.pop([this, woken] { gate_.to_sleep(woken); });
    if (job != nullptr) {
      if (woken) gate_.arrived();
      if (left || (woken && queue_.has_jobs())) call();
      woken = false;
      return job;
    }
    if (queue_.has_jobs()) call();
    return nullptr;
  }

  // A worker whose job waits for somebody. The counterpart is gate().unpark().
  template <class Call>
  void park(Call call) {
    gate_.park();
    if (queue_.has_jobs()) call();
  }

  // No job is accepted any more. The jobs that waited, in their order; the caller drops them, then calls gate().close().
  Job* close() { return queue_.close(); }

 private:
  JobQueue<Threads> queue_;
  WorkerGate<Threads> gate_;
};

}  // namespace weir::internal
