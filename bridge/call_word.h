// Whose a call is, between its loop, its executor's thread and a cancel (claim.h); and how many still refer to it.
//
// What the function and its arguments leave goes back through the loop's inbox. What is left at the end belongs to who lets
// go last.
#pragma once

#include <atomic>

#include "weir/bridge/claim.h"
#include "weir/bridge/system_threads.h"

namespace weir::internal {

template <class Threads = SystemThreads>
class CallWord {
 public:
  CallWord() = default;
  CallWord(const CallWord&) = delete;
  CallWord& operator=(const CallWord&) = delete;

  // ---- Its owner ----

  // Made where no loop runs: not submitted yet.
  bool lazy() const noexcept { return claim_.here(); }

  // From now on the executor refers to it, too.
  void submit() noexcept {
    claim_.submit();
    references_.store(2, std::memory_order_relaxed);  // the executor's queue orders it before its threads
  }
  // The executor did not take it.
  void take_back() noexcept {
    claim_.take_back();
    references_.store(1, std::memory_order_relaxed);  // nobody else has it
  }

  // The caller was cancelled. True: it never runs.
  bool withdraw() noexcept { return claim_.withdraw(); }

  // ---- The executor's thread ----

  // True: it runs, or drops it. False: it was withdrawn, and holds nothing any more.
  bool take() noexcept { return claim_.take(); }

  // ---- Whoever refers to it ----

  // True: that was the last reference, and all that was done with the call has happened.
  bool let_go() noexcept {
    // acquire: pairs with the other side's decrement, when that one came first.
    return references_.load(std::memory_order_acquire) == 1 || references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

 private:
  Claim<Threads> claim_;
  typename Threads::template Atomic<int> references_{1};
};

}  // namespace weir::internal
