// The loop's inbox: the one door through which other threads reach a loop.
//
// A stack of intrusive nodes and the state of its reader are one atomic word:
//
//   kEmpty      nothing in it, the loop is awake
//   a node      the newest of a list, the loop is awake (or being woken)
//   kSleeping   nothing in it, the loop sleeps in the kernel, is about to, or was a moment ago
//   kClosed     the loop is gone; nothing enters any more
//
// Why no wake-up is lost: the reader goes to sleep only by changing kEmpty to kSleeping, which fails when a node is
// there. A writer changes the word by compare-exchange, so exactly one writer replaces kSleeping, and that one is told to
// wake the reader; the wake-up is a counter in an eventfd, so it is seen also when it comes before the sleep itself. All
// writers after it find a node or kEmpty: the reader takes everything after it has woken.
//
// A reader that wakes for another reason may leave the mark kSleeping where it is: it saves both exchanges in a turn that
// nobody posts to, and costs a writer who comes in such a turn a wake-up that was not needed. So a reader who has much to
// do calls stay_awake(). Going back to sleep over a mark that is still there needs no exchange, and even a stale load of
// it harms nothing: the writer who has replaced it wakes the reader.
//
// Source of the idea that queue and sleep flag are one word: libunifex, detail/atomic_intrusive_queue.hpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace weir::internal {

// What a thread sends to a loop. The sender provides the memory; after deliver() the node is the receiver's.
class InboxNode {
 public:
  // On the loop's thread, once.
  virtual void deliver() noexcept = 0;

 protected:
  InboxNode() = default;
  ~InboxNode() = default;

 private:
  template <template <class> class>
  friend class BasicInbox;
  InboxNode* next_ = nullptr;
};

// `Atomic` is std::atomic, or a test's that explores interleavings.
template <template <class> class Atomic>
class BasicInbox {
 public:
  enum class Pushed { kQuietly, kOntoSleeper, kRefused };

  BasicInbox() = default;
  BasicInbox(const BasicInbox&) = delete;
  BasicInbox& operator=(const BasicInbox&) = delete;

  // Any thread. kOntoSleeper: the caller, and only he, has to wake the loop. kRefused: closed, the node is still the caller's.
  Pushed push(InboxNode& node) noexcept {
    // acquire, both loads: pairs with the release of closing, so that who is refused sees all that the loop has done. Else
    // the word is a guess that the exchange checks.
    uintptr_t word = word_.load(std::memory_order_acquire);
    do {
      if (word == kClosed) return Pushed::kRefused;
      node.next_ = word == kSleeping || word == kEmpty ? nullptr : reinterpret_cast<InboxNode*>(word);
      // release: pairs with the acquire of take() and close(), the node is complete. acquire on kSleeping is not needed:
      // the writer only writes the eventfd.
    } while (!word_.compare_exchange_weak(word, reinterpret_cast<uintptr_t>(&node), std::memory_order_release,
                                          std::memory_order_acquire));
    return word == kSleeping ? Pushed::kOntoSleeper : Pushed::kQuietly;
  }

  // The loop: whether take() would give something. Relaxed: a hint, prepare_sleep() is what counts.
  bool maybe_filled() const noexcept { return word_.load(std::memory_order_relaxed) > kSleeping; }

  // Nothing enters any more. Any thread; a hint until the next push.
  bool closed() const noexcept { return word_.load(std::memory_order_relaxed) == kClosed; }

  // The loop, before it sleeps. False: something is there, do not sleep.
  bool prepare_sleep() noexcept {
    uintptr_t word = word_.load(std::memory_order_relaxed);
    if (word == kSleeping) return true;  // since the last sleep
    // relaxed: nothing is published by going to sleep; a failure only leads to take(), which acquires.
    return word == kEmpty &&
           word_.compare_exchange_strong(word, kSleeping, std::memory_order_relaxed, std::memory_order_relaxed);
  }

  // The loop, awake, with more to do than a moment's work: writers shall not wake it.
  void stay_awake() noexcept {
    uintptr_t word = word_.load(std::memory_order_relaxed);
    if (word != kSleeping) return;
    // relaxed: as in prepare_sleep(). A failure: somebody has come.
    word_.compare_exchange_strong(word, kEmpty, std::memory_order_relaxed, std::memory_order_relaxed);
  }

  // The loop, awake: everything that was pushed, oldest first, as a list to be walked with next().
  InboxNode* take() noexcept {
    // acquire: pairs with the release of push().
    return oldest_first(word_.exchange(kEmpty, std::memory_order_acquire));
  }

  // The loop, at its end: refuses all further nodes. False: something is there, nothing has changed.
  bool close_if_empty() noexcept {
    stay_awake();
    uintptr_t expected = kEmpty;
    // release: pairs with the acquire of push().
    return word_.compare_exchange_strong(expected, kClosed, std::memory_order_release, std::memory_order_relaxed);
  }

  // The loop, at an end without turns: refuses all further nodes and gives what is left.
  InboxNode* close() noexcept {
    // acquire: pairs with the release of push(); release: with the acquire of who is refused.
    return oldest_first(word_.exchange(kClosed, std::memory_order_acq_rel));
  }

  // The node behind `node` in a list of take(), before `node` is delivered.
  static InboxNode* next(InboxNode& node) noexcept { return node.next_; }

 private:
  static constexpr uintptr_t kEmpty = 0;
  static constexpr uintptr_t kSleeping = 1;
  static constexpr uintptr_t kClosed = 2;

  static InboxNode* oldest_first(uintptr_t word) noexcept {
    if (word <= kClosed) return nullptr;
    InboxNode* reversed = nullptr;
    for (auto* node = reinterpret_cast<InboxNode*>(word); node != nullptr;) {
      // Written by another processor: what lies behind its line comes while the walk goes on.
      __builtin_prefetch(reinterpret_cast<const char*>(node) + 64, /*for writing*/ 1);
      InboxNode* const older = std::exchange(node->next_, reversed);
      reversed = node;
      node = older;
    }
    return reversed;
  }

  Atomic<uintptr_t> word_{kEmpty};
};

using Inbox = BasicInbox<std::atomic>;

}  // namespace weir::internal
