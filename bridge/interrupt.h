// How the close of a stream reaches a producer that waits in sync_await.
//
// A producer may wait there for a coroutine that never ends by itself: a poll of a silent pipe. Closing its stream cancels
// that coroutine, and sync_await throws Cancelled in the producer, once the coroutine's frame is gone. So does the next
// sync_await of a producer that was just not waiting in one. When it has learned of the close in this way, or by a put
// that was refused, sync_await works as ever: what the producer destroys on its way out may need it.
//
// One atomic word, of a stream; whoever changes it away from a wait has that wait's reference:
//
//   kIdle     --producer: begin()--> a wait --producer: end()--> kIdle
//   kIdle     --anyone: ask()--> kAsked          the next begin() is refused
//   a wait    --anyone: ask()--> kAsked          and the wait is cancelled
//   kAsked    --producer: begin() refused, end() of a wait that was cut short--> kLearned
//   any       --producer: learn()--> kLearned
#pragma once

#include <atomic>
#include <cstdint>

#include "weir/bridge/system_threads.h"
#include "weir/runtime/join.h"
#include "weir/runtime/loop_handle.h"

namespace weir::internal {

template <class Wait, class Threads = SystemThreads>
class InterruptWord {
 public:
  InterruptWord() = default;
  InterruptWord(const InterruptWord&) = delete;
  InterruptWord& operator=(const InterruptWord&) = delete;

  // The producer is about to wait. False: it must not. True: the word holds a reference to `wait`, until end().
  bool begin(Wait& wait) {
    wait.retain();
    uintptr_t idle = kIdle;
    // Pairs with ask(), which may use the wait at once; on failure, what was done before ask() has happened.
    if (word_.compare_exchange_strong(idle, reinterpret_cast<uintptr_t>(&wait), std::memory_order_release,
                                      std::memory_order_acquire)) {
      return true;
    }
    wait.release();
    if (idle == kLearned) return true;
    learn();
    return false;
  }

  // The producer has waited. `cut_short`: it ended with Cancelled.
  void end(Wait& wait, bool cut_short) {
    uintptr_t mine = reinterpret_cast<uintptr_t>(&wait);
    // Pairs with ask(): one of the two gets the word's reference. Nothing is published by it.
    if (word_.compare_exchange_strong(mine, kIdle, std::memory_order_relaxed)) {
      wait.release();
    } else if (cut_short) {
      learn();
    }
  }

  // The producer, not waiting, knows that nobody wants more.
  void learn() { word_.store(kLearned, std::memory_order_relaxed); }  // its own; ask() only compares

  // Any thread, any number of times. The wait that is to be cancelled, with the word's reference to it, or nullptr.
  Wait* ask() {
    uintptr_t word = word_.load(std::memory_order_relaxed);  // a guess; the exchange checks it
    do {
      if (word == kAsked || word == kLearned) return nullptr;
      // acq_rel: pairs with begin(), in both directions.
    } while (!word_.compare_exchange_weak(word, kAsked, std::memory_order_acq_rel, std::memory_order_relaxed));
    return word == kIdle ? nullptr : reinterpret_cast<Wait*>(word);
  }

 private:
  static constexpr uintptr_t kIdle = 0;
  static constexpr uintptr_t kAsked = 1;
  static constexpr uintptr_t kLearned = 2;

  typename Threads::template Atomic<uintptr_t> word_{kIdle};
};

// A sync_await that can be cancelled from outside. Counted: by who waits, by the word, and on the way to the loop.
class CancellableWait final : public InboxNode {
 public:
  explicit CancellableWait(LoopControl& loop) noexcept : loop_(ControlRef::share(&loop)) {}
  CancellableWait(const CancellableWait&) = delete;
  CancellableWait& operator=(const CancellableWait&) = delete;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }  // the caller holds one
  void release() noexcept {
    // acq_rel, with itself: whoever deletes sees what the others did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // --- the loop: the task that is waited for has begun, and has ended.
  void task_began(JoinStateBase& task) noexcept;
  void task_ended() noexcept { task_ = nullptr; }

  // Any thread: cancels the task; takes over the caller's reference.
  void send() noexcept;

 private:
  ~CancellableWait() = default;
  void deliver() noexcept override;

  const ControlRef loop_;
  JoinStateBase* task_ = nullptr;  // loop
  bool cancelled_ = false;         // loop
  std::atomic<int> references_{1};
};

class Interrupt {
 public:
  Interrupt() = default;

  // Of the stream that the calling thread produces; nullptr: none.
  static Interrupt* current() noexcept;

  // Nobody wants more. Any thread.
  void ask() noexcept {
    if (CancellableWait* const wait = word_.ask()) wait->send();
  }
  // The producer was told, by a put.
  void learn() noexcept { word_.learn(); }

  InterruptWord<CancellableWait>& word() noexcept { return word_; }

  // The calling thread produces until the scope ends.
  class [[nodiscard]] Scope {
   public:
    explicit Scope(Interrupt& interrupt) noexcept;
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope();

   private:
    Interrupt* const before_;
  };

 private:
  InterruptWord<CancellableWait> word_;
};

}  // namespace weir::internal
