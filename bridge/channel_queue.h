// The queue behind a channel: any number of threads put, one loop takes.
//
// One word: the items that the loop has not taken yet, newest first, with two flags in the low bits of the pointer:
//   kClosed   nothing enters any more; what is there is still delivered
//   kWaits    the loop's side found nothing and wants one notice
// A put, a close, a take and a wait each are one compare-exchange of this word, so they have one order. Why nothing is
// lost: an item enters only while kClosed is not set, and the loop sees the end only in a word that has kClosed and no
// items, so all that entered came out before. Why no wake-up is lost: the loop sets kWaits only while the word has no
// items and is not closed; the put or close that follows clears it and owes one notice; nobody else does.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "weir/bridge/system_threads.h"

namespace weir::internal {

// An item on its way; the list that take() gives is walked with next.
template <class T>
struct ChannelNode {
  explicit ChannelNode(T&& value) : item(std::move(value)) {}
  ChannelNode* next = nullptr;
  T item;
};

template <class T, class Threads = SystemThreads>
class ChannelQueue {
 public:
  using Node = ChannelNode<T>;
  enum class Put { kQuietly, kOwesNotice, kClosed };

  ChannelQueue() = default;
  ChannelQueue(const ChannelQueue&) = delete;
  ChannelQueue& operator=(const ChannelQueue&) = delete;
  ~ChannelQueue() { free_list(nodes(word_.load(std::memory_order_acquire))); }  // pairs with put(): the last user is here

  // Any thread. kClosed: the node is still the caller's.
  Put put(Node& node) noexcept {
    uintptr_t word = word_.load(std::memory_order_relaxed);  // a guess; the exchange checks it
    do {
      if ((word & kClosed) != 0) return Put::kClosed;
      node.next = nodes(word);
      // release: pairs with the acquire of take(), the node is complete. acquire: pairs with wait(), whose caller has
      // written where the notice goes.
    } while (!word_.compare_exchange_weak(word, reinterpret_cast<uintptr_t>(&node), std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    return (word & kWaits) != 0 ? Put::kOwesNotice : Put::kQuietly;
  }

  // Any thread, idempotent. True: the caller owes the notice.
  bool close() noexcept {
    uintptr_t word = word_.load(std::memory_order_relaxed);
    // acquire: as in put(). What was put is published by put() itself.
    while (!word_.compare_exchange_weak(word, (word | kClosed) & ~kWaits, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
    }
    return (word & kWaits) != 0;
  }
  bool closed() const noexcept { return (word_.load(std::memory_order_relaxed) & kClosed) != 0; }  // a hint

  // The loop: all that is there, oldest first; `ended`: nothing is there, and nothing will come.
  Node* take(bool& ended) noexcept {
    uintptr_t word = word_.load(std::memory_order_relaxed);
    while (nodes(word) != nullptr &&
           // acquire: pairs with the release of put().
           !word_.compare_exchange_weak(word, word & kClosed, std::memory_order_acquire, std::memory_order_relaxed)) {
    }
    ended = nodes(word) == nullptr && (word & kClosed) != 0;
    Node* oldest = nullptr;
    for (Node* node = nodes(word); node != nullptr;) {
      Node* const older = std::exchange(node->next, oldest);
      oldest = node;
      node = older;
    }
    return oldest;
  }

  // The loop: asks for one notice. False: something is there, or it is closed.
  bool wait() noexcept {
    uintptr_t empty = 0;
    // release: pairs with the acquire of put() and close().
    return word_.compare_exchange_strong(empty, kWaits, std::memory_order_release, std::memory_order_relaxed);
  }

  // The loop takes its wait back. False: the notice was given, or is about to be.
  bool cancel_wait() noexcept {
    uintptr_t waits = kWaits;
    return word_.compare_exchange_strong(waits, 0, std::memory_order_relaxed, std::memory_order_relaxed);
  }

  static void free_list(Node* node) noexcept {
    while (node != nullptr) delete std::exchange(node, node->next);
  }

 private:
  static constexpr uintptr_t kClosed = 1;
  static constexpr uintptr_t kWaits = 2;

  static Node* nodes(uintptr_t word) noexcept {
    static_assert(alignof(Node) >= 4);
    return reinterpret_cast<Node*>(word & ~(kClosed | kWaits));
  }

  typename Threads::template Atomic<uintptr_t> word_{0};
};

}  // namespace weir::internal
