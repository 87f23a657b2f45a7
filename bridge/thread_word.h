// Whether a thread lives, and who joins it: once, by whoever comes first, or never, as it was abandoned.
//
//   kIdle               no thread
//   kAlive              taken by who makes a thread, then the thread's
//   kAlive | kEnded     its last act: it may be joined
//   kJoining            somebody joins it, and makes the word kIdle again
//   kAlive | kAbandoned nobody will join it: it detaches itself when it ends
//
// Why a thread is joined or detached, once: its end and the abandoning are read-modify-writes of one word, so who comes
// second sees the other; and who joins has changed kAlive | kEnded to kJoining.
#pragma once

#include <atomic>
#include <cstdint>

#include "weir/bridge/futex.h"
#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class ThreadWord {
 public:
  ThreadWord() = default;  // kAlive: its maker's
  ThreadWord(const ThreadWord&) = delete;
  ThreadWord& operator=(const ThreadWord&) = delete;

  // ---- Whoever makes a thread ----

  // True: a thread may be made. Else one lives, or was abandoned.
  bool take() {
    uint32_t idle = kIdle;
    // Pairs with become_idle(): the last thread's use of what the word guards is over.
    return state_.compare_exchange_strong(idle, kAlive, std::memory_order_acquire, std::memory_order_relaxed);
  }
  // No thread was made.
  void give_back() { become_idle(); }

  // ---- The thread ----

  // Its last act. True: it was abandoned, and detaches itself.
  bool end() {
    // release: pairs with join_if_ended(), how to join it. Of abandon() it needs to know no more than the flag.
    const bool abandoned = (state_.fetch_or(kEnded, std::memory_order_release) & kAbandoned) != 0;
    Threads::wake(state_, kWakeAll);
    return abandoned;
  }

  // ---- Any thread ----

  // Waits until the thread has been joined, unless it is abandoned. `join_thread` joins it.
  template <class JoinThread>
  void join(JoinThread join_thread) {
    for (;;) {
      const uint32_t state = state_.load(std::memory_order_acquire);  // pairs with become_idle(): what the thread did
      if (state == kIdle || (state & kAbandoned) != 0) return;
      if (state == (kAlive | kEnded)) {
        join_if_ended(join_thread);
      } else {
        Threads::wait(state_, state);
      }
    }
  }

  template <class JoinThread>
  void join_if_ended(JoinThread join_thread) {
    uint32_t ended = kAlive | kEnded;
    // Pairs with end(): how to join it.
    if (!state_.compare_exchange_strong(ended, kJoining, std::memory_order_acquire, std::memory_order_relaxed)) return;
    join_thread();
    become_idle();
  }

  // Nobody will join the thread. True: it still runs.
  template <class JoinThread>
  bool abandon(JoinThread join_thread) {
    uint32_t alive = kAlive;
    // Pairs with end(): one of the two sees the other. Nothing is published by it.
    if (state_.compare_exchange_strong(alive, kAlive | kAbandoned, std::memory_order_relaxed)) return true;
    join_if_ended(join_thread);
    return false;
  }

 private:
  static constexpr uint32_t kIdle = 0;
  static constexpr uint32_t kAlive = 1;
  static constexpr uint32_t kEnded = 2;
  static constexpr uint32_t kAbandoned = 4;
  static constexpr uint32_t kJoining = 8;

  void become_idle() {
    state_.store(kIdle, std::memory_order_release);  // pairs with take() and join()
    Threads::wake(state_, kWakeAll);
  }

  typename Threads::template Atomic<uint32_t> state_{kAlive};
};

}  // namespace weir::internal
