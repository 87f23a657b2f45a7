// Whose a call is, between its loop, its executor's thread and a cancel; and how many still refer to it.
//
//   kLazy        made where no loop runs: not submitted yet (its owner alone knows it)
//   kQueued      the executor has it
//   kTaken       a thread runs it, or ran it, or drops it
//   kWithdrawn   its caller was cancelled before a thread took it: it never runs
//
// A thread takes it by changing kQueued to kTaken, a cancel by changing kQueued to kWithdrawn: one of them wins, and the
// function and its arguments are the winner's to destroy. Nothing is published by that: they came to the thread through
// the executor's queue, and the result goes back through the loop's inbox. What is left at the end belongs to who lets go
// last.
#pragma once

#include <atomic>
#include <cstdint>

#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class CallWord {
 public:
  CallWord() = default;
  CallWord(const CallWord&) = delete;
  CallWord& operator=(const CallWord&) = delete;

  // ---- Its owner ----

  bool lazy() const noexcept { return state_.load(std::memory_order_relaxed) == State::kLazy; }  // only its owner has it

  // From now on the executor refers to it, too.
  void submit() noexcept {
    state_.store(State::kQueued, std::memory_order_relaxed);  // the executor's queue orders both before its threads
    references_.store(2, std::memory_order_relaxed);
  }
  // The executor did not take it.
  void take_back() noexcept {
    state_.store(State::kLazy, std::memory_order_relaxed);  // nobody else has it
    references_.store(1, std::memory_order_relaxed);
  }

  // The caller was cancelled. True: it never runs.
  bool withdraw() noexcept { return change(State::kWithdrawn); }

  // ---- The executor's thread ----

  // True: it runs, or drops it. False: it was withdrawn, and holds nothing any more.
  bool take() noexcept { return change(State::kTaken); }

  // ---- Whoever refers to it ----

  // True: that was the last reference, and all that was done with the call has happened.
  bool let_go() noexcept {
    // acquire: pairs with the other side's decrement, when that one came first.
    return references_.load(std::memory_order_acquire) == 1 || references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

 private:
  enum class State : uint8_t { kLazy, kQueued, kTaken, kWithdrawn };

  bool change(State to) noexcept {
    State queued = State::kQueued;
    return state_.compare_exchange_strong(queued, to, std::memory_order_relaxed);  // one of two wins; see above
  }

  typename Threads::template Atomic<State> state_{State::kLazy};
  typename Threads::template Atomic<int> references_{1};
};

}  // namespace weir::internal
