// Which threads of a pool work, sleep or are parked; who wakes whom.
//
// Three kinds of thread: running (it runs a job, or looks for one), sleeping, and parked (in a job, but it waits for
// somebody: bridge/parked.h). At most `size` threads run, plus those that come back from being parked. A thread that runs
// beyond `size` goes to sleep as soon as its job has ended. When all others are parked or busy, work is queued and fewer
// than `size` run, a spare thread is made, up to `spares_max` of them; it ends when it has long not been needed.
//
// The word `state_` is all of it, so that each decision is one compare-and-swap:
//   running:16 | sleeping:16 | threads:16 | waking:1 | closed:1         parked = threads - running - sleeping
//   waking    a thread was woken, or made, and has not looked at the queue yet. Nobody else is woken meanwhile: it calls
//             the next one itself if it leaves work behind. So a burst of a thousand submits costs one system call.
// The word `tickets_` is what sleepers sleep on. Who wakes a thread counts it as running first, then adds a ticket; any
// sleeper may take it. There are never fewer sleepers than tickets: a thread leaves its sleep without one only while
// sleeping > 0.
//
// Why no job is left behind while a thread may run. "Someone comes": waking is set, or `size` threads run.
//   A submitter pushes, then reads state_ in call(). A thread that stops to run (to_sleep(), park()) or clears waking
//   (arrived()) changes state_, then looks at the queue, and calls. These four are sequentially consistent: of a push and a
//   stop, one sees the other.
//   So when call() finds that someone comes, it is right to bring nobody: all changes of state_ have one order, and a stop
//   of the one who comes is later in it than what call() has read, or than what a failed exchange there has read, which is
//   later still. Else call() brings someone, whose own stop is later, too.
//   Two stops need no look. A thread that is one too many, in to_sleep_if_surplus(), leaves `size` others running, which
//   look when they stop. And one that was not made wakes a sleeper, if there is any, in its place.
//   Jobs in the middle of a pop are seen by nobody else; who pops, and leaves some, calls after it.
// All other changes of state_ order nothing but themselves; those that end a thread publish what it did to who waits for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class WorkerGate {
 public:
  // `size` threads sleep from the beginning: the caller makes them, and they begin with sleep().
  WorkerGate(unsigned size, unsigned spares_max)
      : size_(size), spares_max_(spares_max), state_(size * kSleeping + size * kThreads) {}
  WorkerGate(const WorkerGate&) = delete;
  WorkerGate& operator=(const WorkerGate&) = delete;

  enum class Call {
    kNobody,  // someone comes anyway, or the pool is closed
    kWoken,   // a sleeper was woken
    kSpawn,   // the caller makes a thread, which counts as running and waking already; or it calls not_made()
    kNoMore,  // there are spares_max spare threads, all parked
  };

  // There is work. Any thread; a system call only if it gives kWoken.
  Call call(bool may_spawn = true) {
    uint64_t state = state_.load(std::memory_order_seq_cst);  // pairs with to_sleep(), park() and arrived()
    for (;;) {
      if ((state & (kWaking | kClosed)) != 0 || running(state) >= size_) return Call::kNobody;
      const bool wake = sleeping(state) > 0;
      if (!wake && (!may_spawn || threads(state) >= size_ + spares_max_)) return Call::kNoMore;
      const uint64_t next = state + kRunning + kWaking + (wake ? -kSleeping : kThreads);
      // relaxed: what it reads, or replaces, is as late as what the load has read. Nothing is published by it.
      if (!state_.compare_exchange_weak(state, next, std::memory_order_relaxed)) continue;
      if (!wake) return Call::kSpawn;
      // relaxed: a number, jobs travel through the queue. There is no ticket without the exchange above, so who takes it
      // changes state_ after that.
      tickets_.fetch_add(1, std::memory_order_relaxed);
      Threads::wake(tickets_, 1);
      return Call::kWoken;
    }
  }
  // The system gave no thread for kSpawn. Wakes one that sleeps, as others may have counted on the new one.
  void not_made() {
    state_.fetch_sub(kRunning + kWaking, std::memory_order_relaxed);  // the next worker to stop comes later; see above
    leave();
    call(false);
  }

  // ---- A worker, in its turn ----

  // It has looked at the queue after it was woken. The caller then asks the queue whether to call().
  void arrived() { state_.fetch_sub(kWaking, std::memory_order_seq_cst); }  // pairs with the load in call()

  // It counts as sleeping. `woken`: it has not called arrived(). The caller then looks at the queue, and calls sleep().
  void to_sleep(bool woken) {
    // Pairs with the load in call().
    state_.fetch_add(kSleeping - kRunning - (woken ? kWaking : 0), std::memory_order_seq_cst);
  }

  // The same, if more threads run than should; else false. The caller need not look at the queue.
  bool to_sleep_if_surplus(bool woken) {
    uint64_t state = state_.load(std::memory_order_relaxed);  // a hint: the exchange decides
    while (running(state) > size_) {
      const uint64_t next = state + kSleeping - kRunning - (woken ? kWaking : 0);
      // relaxed: those that still run look at the queue, and not earlier than this; see above.
      if (state_.compare_exchange_weak(state, next, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  enum class Sleep { kWoken, kLate, kClosed };

  // After to_sleep(). kWoken: it runs, and is the one who comes.
  Sleep sleep(int64_t deadline_ns) {
    for (;;) {
      uint32_t tickets = tickets_.load(std::memory_order_relaxed);  // a hint: the exchange, or the futex, decides
      if ((tickets & kTicketsClosed) != 0) return Sleep::kClosed;
      if (tickets == 0) {
        if (!Threads::wait(tickets_, 0, deadline_ns)) return Sleep::kLate;
      } else if (tickets_.compare_exchange_weak(tickets, tickets - 1, std::memory_order_relaxed)) {
        return Sleep::kWoken;
      }
    }
  }

  // After kLate: it ends for good. False: someone is being woken, and it may be needed for that; it sleeps again, with
  // no deadline.
  bool retire() {
    uint64_t state = state_.load(std::memory_order_relaxed);  // a hint: the exchange decides
    while ((state & kClosed) == 0 && sleeping(state) > 0) {
      // call() counts by the same word: what it takes for asleep, it can wake. release: pairs with all_left().
      if (state_.compare_exchange_weak(state, state - kSleeping - kThreads, std::memory_order_release,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  // Fewer spare threads than parked ones, or as many: each of them stands in for somebody.
  bool spares_needed() const {
    const uint64_t state = state_.load(std::memory_order_relaxed);  // a hint
    return spares(state) <= parked(state);
  }

  // Stops to run, inside its job; the caller then asks the queue whether to call().
  void park() { state_.fetch_sub(kRunning, std::memory_order_seq_cst); }  // pairs with the load in call()
  void unpark() { state_.fetch_add(kRunning, std::memory_order_relaxed); }  // it looks at the queue after its job

  // ---- The end ----

  // Wakes every sleeper; nobody is called any more.
  void close() {
    state_.fetch_or(kClosed, std::memory_order_relaxed);           // call() and retire() change the same word
    tickets_.fetch_or(kTicketsClosed, std::memory_order_relaxed);  // a word to end by: nothing is read through it
    Threads::wake(tickets_, kWakeAll);
  }

  // A thread of a closed pool ends, or never was.
  void leave() {
    state_.fetch_sub(kThreads, std::memory_order_release);  // pairs with all_left(): what the thread did
    left_.fetch_add(1, std::memory_order_release);          // pairs with wait_until_left(): state_ is changed
    Threads::wake(left_, kWakeAll);
  }
  // After close(): every thread has left, and all that they did has happened. False: the deadline passed.
  bool wait_until_left(int64_t deadline_ns) {
    for (;;) {
      const uint32_t left = left_.load(std::memory_order_acquire);  // pairs with leave()
      if (all_left()) return true;
      if (!Threads::wait(left_, left, deadline_ns)) return all_left();
    }
  }

  // For statistics.
  unsigned spare() const { return spares(state_.load(std::memory_order_relaxed)); }
  unsigned parked() const { return parked(state_.load(std::memory_order_relaxed)); }
  unsigned running() const { return running(state_.load(std::memory_order_relaxed)); }
  unsigned sleeping() const { return sleeping(state_.load(std::memory_order_relaxed)); }

 private:
  static constexpr uint64_t kRunning = 1;
  static constexpr uint64_t kSleeping = uint64_t{1} << 16;
  static constexpr uint64_t kThreads = uint64_t{1} << 32;
  static constexpr uint64_t kWaking = uint64_t{1} << 48;
  static constexpr uint64_t kClosed = uint64_t{1} << 49;
  static constexpr uint32_t kTicketsClosed = uint32_t{1} << 31;

  static unsigned running(uint64_t state) { return state & 0xffff; }
  static unsigned sleeping(uint64_t state) { return state >> 16 & 0xffff; }
  static unsigned threads(uint64_t state) { return state >> 32 & 0xffff; }
  static unsigned parked(uint64_t state) {
    const unsigned others = running(state) + sleeping(state);
    return threads(state) > others ? threads(state) - others : 0;  // threads that leave count as nothing any more
  }
  bool all_left() const { return threads(state_.load(std::memory_order_acquire)) == 0; }  // pairs with leave() and retire()
  unsigned spares(uint64_t state) const { return threads(state) > size_ ? threads(state) - size_ : 0; }

  const unsigned size_;
  const unsigned spares_max_;
  alignas(64) typename Threads::template Atomic<uint64_t> state_;
  alignas(64) typename Threads::template Atomic<uint32_t> tickets_{0};
  typename Threads::template Atomic<uint32_t> left_{0};
};

}  // namespace weir::internal
