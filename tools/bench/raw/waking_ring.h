// A thread that sleeps in its ring, and what wakes it: a stack of nodes that knows whether its reader sleeps, an eventfd,
// and a read of that in flight. Also futexes, for threads that have no ring.
#pragma once

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <utility>

#include "weir/tools/bench/raw/ring.h"

namespace weir::bench::raw {

inline void futex_wait(std::atomic<uint32_t>& word, uint32_t expected) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
inline void futex_wake(std::atomic<uint32_t>& word) { syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); }

struct Node {
  Node* next = nullptr;
};

// Any number of writers, one reader.
class Stack {
 public:
  // True: the reader sleeps, and the caller wakes it.
  bool push(Node& node) { return push_list(node, node); }
  bool push_list(Node& newest, Node& oldest) {
    Node* top = top_.load(std::memory_order_relaxed);
    do {
      oldest.next = top == sleeping() ? nullptr : top;
    } while (!top_.compare_exchange_weak(top, &newest, std::memory_order_release, std::memory_order_relaxed));
    return top == sleeping();
  }
  // False: something is there.
  bool prepare_sleep() {
    Node* nothing = nullptr;
    return top_.compare_exchange_strong(nothing, sleeping(), std::memory_order_relaxed);
  }
  bool asleep() const { return top_.load(std::memory_order_relaxed) == sleeping(); }
  bool empty() const { return top_.load(std::memory_order_relaxed) == nullptr; }
  // The newest first.
  Node* take() {
    Node* const top = top_.exchange(nullptr, std::memory_order_acquire);
    return top == sleeping() ? nullptr : top;
  }

 private:
  Node* sleeping() const { return reinterpret_cast<Node*>(const_cast<Stack*>(this)); }
  alignas(64) std::atomic<Node*> top_{nullptr};
};

inline Node* oldest_first(Node* newest) {
  Node* list = nullptr;
  while (newest != nullptr) list = std::exchange(newest, std::exchange(newest->next, list));
  return list;
}

class WakingRing {
 public:
  WakingRing() : eventfd_(eventfd(0, EFD_CLOEXEC)) {}
  ~WakingRing() {
    wake();
    if (armed_) sleep();
    close(eventfd_);
  }

  // Any thread.
  void push(Node& node) {
    if (stack_.push(node)) wake();
  }
  void wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(eventfd_, &one, sizeof one);
  }
  bool asleep() const { return stack_.asleep(); }
  Stack& stack() { return stack_; }

  // The reader: what was pushed, oldest first; sleeps until there is something.
  Node* wait() {
    for (;;) {
      if (Node* const newest = stack_.take()) return oldest_first(newest);
      if (stack_.prepare_sleep()) sleep();
    }
  }
  // The reader: until somebody calls wake().
  void sleep() {
    if (!armed_) {
      io_uring_prep_read(ring_.entry(), eventfd_, &count_, sizeof count_, 0);
      armed_ = true;
    }
    io_uring_submit_and_wait(ring_.get(), 1);
    io_uring_cqe* completion;
    while (io_uring_peek_cqe(ring_.get(), &completion) == 0) {
      armed_ = false;
      io_uring_cqe_seen(ring_.get(), completion);
    }
  }

 private:
  Ring ring_;
  const int eventfd_;
  uint64_t count_ = 0;
  bool armed_ = false;
  Stack stack_;
};

}  // namespace weir::bench::raw
