// Whose a job is, between who submits it and the executor's thread that runs it.
//
//   kHere        not submitted: its owner alone knows it
//   kQueued      the executor has it
//   kTaken       a thread runs it, or ran it, or drops it
//   kWithdrawn   nobody wanted it any more before a thread took it: it never runs
//
// A thread takes it by changing kQueued to kTaken, who does not want it any more changes kQueued to kWithdrawn: one of them
// wins, and what the job is made of is the winner's to destroy. Nothing is published by that: it came to the thread through
// the executor's queue, to who withdraws it by way of its owner, and what the winner leaves goes on by other words.
#pragma once

#include <atomic>
#include <cstdint>

#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class Claim {
 public:
  Claim() = default;
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  // Its owner, before the executor is given it.
  void submit() noexcept { state_.store(State::kQueued, std::memory_order_relaxed); }  // the queue orders it before its threads
  // The executor did not take it.
  void take_back() noexcept { state_.store(State::kHere, std::memory_order_relaxed); }  // nobody else has it
  bool here() const noexcept { return state_.load(std::memory_order_relaxed) == State::kHere; }  // only its owner has it

  // The executor's thread. False: it was withdrawn, and holds nothing any more.
  bool take() noexcept { return change(State::kTaken); }
  // Nobody wants it any more. True: it never runs. False: a thread has it, or had, or it is still here.
  bool withdraw() noexcept { return change(State::kWithdrawn); }

 private:
  enum class State : uint8_t { kHere, kQueued, kTaken, kWithdrawn };

  bool change(State to) noexcept {
    State queued = State::kQueued;
    return state_.compare_exchange_strong(queued, to, std::memory_order_relaxed);  // one of two wins; see above
  }

  typename Threads::template Atomic<State> state_{State::kHere};
};

}  // namespace weir::internal
