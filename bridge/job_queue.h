// The jobs that wait for a worker: first in, first out; any number of submitters and of workers.
//
// Submitters never take a lock, as one of them is a loop: push() is a push onto a stack, `incoming_`. Workers share a
// mutex, under which one of them takes the whole stack at once, turns it round into `ready_`, and all of them pop.
//
//   push: incoming_ -> 9 -> 8 -> 7                ready_ -> 4 -> 5 -> 6    :pop
//
// close() puts a mark in the stack's place, so that a push is either before it, and in what close() returns, or refused:
// no job falls between.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "weir/bridge/futex_mutex.h"
#include "weir/runtime/executor.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class JobQueue {
 public:
  JobQueue() = default;
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  // Any thread; no lock. False: closed, and the job is its maker's.
  bool push(Job& job) {
    Job* top = incoming_.load(std::memory_order_relaxed);
    do {
      if (top == closed_mark()) return false;
      job.next = top;
      // Pairs with take_incoming(): the job is complete. Sequentially consistent with respect to the sleep of workers
      // (worker_gate.h): push, then look for sleepers; fall asleep, then look for jobs.
    } while (!incoming_.compare_exchange_weak(top, &job, std::memory_order_seq_cst, std::memory_order_relaxed));
    return true;
  }

  struct Popped {
    Job* job;   // nullptr: there was none
    bool left;  // there are more
  };

  // A worker. If there is no job it calls when_empty() under the lock: a job moved to ready_ is either moved before, and
  // popped here, or by a worker who then sees what when_empty() did.
  template <class WhenEmpty>
  Popped pop(WhenEmpty when_empty) {
    std::lock_guard lock(mutex_);
    if (ready_ == nullptr) ready_ = take_incoming();
    Job* const job = ready_;
    if (job == nullptr) {
      when_empty();
      return {nullptr, false};
    }
    ready_ = job->next;
    const bool left = ready_ != nullptr;
    if (left != left_.load(std::memory_order_relaxed)) left_.store(left, std::memory_order_seq_cst);  // for has_jobs()
    return {job, left};
  }

  // Any thread, without the lock. False although there are jobs: a worker is just popping, and will see what the caller
  // did before it asked (Popped::left is true).
  bool has_jobs() const {
    if (left_.load(std::memory_order_seq_cst)) return true;           // pairs with pop()
    Job* const top = incoming_.load(std::memory_order_seq_cst);       // pairs with push()
    return top != nullptr && top != closed_mark();
  }

  // From now on push() refuses. Gives the jobs that waited, in their order, linked by `next`; again: nothing.
  Job* close() {
    std::lock_guard lock(mutex_);
    // acquire: pairs with push(), the jobs are complete.
    Job* const top = incoming_.exchange(closed_mark(), std::memory_order_acquire);
    Job* const incoming = top == closed_mark() ? nullptr : reversed(top);
    left_.store(false, std::memory_order_relaxed);  // at worst somebody looks in vain
    if (ready_ == nullptr) return incoming;
    Job* last = ready_;
    while (last->next != nullptr) last = last->next;
    last->next = incoming;
    return std::exchange(ready_, nullptr);
  }

 private:
  // An address that no job has.
  Job* closed_mark() const { return reinterpret_cast<Job*>(const_cast<JobQueue*>(this)); }

  Job* take_incoming() {
    Job* top = incoming_.load(std::memory_order_relaxed);
    do {
      if (top == nullptr || top == closed_mark()) return nullptr;
      // acquire: pairs with push(), the jobs are complete. has_jobs() may take them for still there: a call in vain.
    } while (!incoming_.compare_exchange_weak(top, nullptr, std::memory_order_acquire, std::memory_order_relaxed));
    return reversed(top);
  }

  // A job was written by another processor: the lines behind its first come while the walk goes on.
  static Job* reversed(Job* top) {
    Job* first = nullptr;
    while (top != nullptr) {
      for (const size_t line : {1, 2}) __builtin_prefetch(reinterpret_cast<const char*>(top) + 64 * line, /*for writing*/ 1);
      Job* const below = std::exchange(top->next, first);
      first = std::exchange(top, below);
    }
    return first;
  }

  alignas(64) typename Threads::template Atomic<Job*> incoming_{nullptr};
  alignas(64) FutexMutex<Threads> mutex_;
  Job* ready_ = nullptr;                                          // under the mutex
  typename Threads::template Atomic<bool> left_{false};           // ready_ has jobs; written under the mutex
};

}  // namespace weir::internal
