// Queue: items from task to task, in order, with backpressure.
//
//   weir::Queue<Request> queue(64);                           // 0, the default: unbounded
//   co_await queue.push(std::move(request));                  // waits while 64 items wait
//   while (auto request = co_await queue.pop()) handle(*request);
//   queue.close();                                            // what was pushed is still delivered, then nullopt
//
// For the coroutines of one loop, on its thread; between threads there are the channels of bridge/. Fair on both sides:
// first in, first out. Cancelling takes a waiter out: the item of a push that throws Cancelled was not pushed; an item
// that was given to a pop already is delivered. Destroyed while somebody waits: std::logic_error there.
// Cost: no system call; items lie in blocks, an allocation for each few.
#pragma once

#include <coroutine>
#include <cstddef>
#include <deque>
#include <optional>
#include <stdexcept>
#include <utility>

#include "weir/runtime/sync/waiter.h"

namespace weir {

// A push into a queue that was closed.
class QueueClosed : public std::runtime_error {
 public:
  QueueClosed() : std::runtime_error("weir::Queue: push() into a queue that was closed") {}
};

template <class T>
class Queue {
 public:
  explicit Queue(std::size_t max_size = 0) noexcept : max_size_(max_size) {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Awaited once, as an rvalue.
  class [[nodiscard("push() does nothing until it is awaited")]] Push {
   public:
    Push(Queue& queue, T item) : queue_(&queue), item_(std::move(item)) {}

    class Awaiter final : public internal::Waiter {
     public:
      Awaiter(Queue& queue, T item) : queue_(queue), item_(std::move(item)) {}
      bool await_ready() {
        may_go_on();
        return queue_.take_in(item_) && pass();
      }
      void await_suspend(std::coroutine_handle<> point) noexcept { wait_in(queue_.pushers_, point); }
      void await_resume() const {
        finish();
        if (refused_) throw QueueClosed();
      }

     private:
      friend class Queue;
      Queue& queue_;
      T item_;
      bool refused_ = false;
    };
    Awaiter operator co_await() && { return Awaiter(*queue_, std::move(item_)); }

   private:
    Queue* queue_;
    T item_;
  };

  class [[nodiscard("pop() does nothing until it is awaited")]] Pop {
   public:
    explicit Pop(Queue& queue) noexcept : queue_(&queue) {}

    class Awaiter final : public internal::Waiter {
     public:
      explicit Awaiter(Queue& queue) noexcept : queue_(queue) {}
      bool await_ready() {
        may_go_on();
        item_ = queue_.take_out();
        return (item_.has_value() || queue_.closed_) && pass();
      }
      void await_suspend(std::coroutine_handle<> point) noexcept { wait_in(queue_.poppers_, point); }
      std::optional<T> await_resume() {
        finish();
        return std::move(item_);
      }

     private:
      friend class Queue;
      Queue& queue_;
      std::optional<T> item_;
    };
    Awaiter operator co_await() const noexcept { return Awaiter(*queue_); }

   private:
    Queue* queue_;
  };

  // Waits while the queue is full. QueueClosed when it is closed, before or meanwhile.
  Push push(T item) { return Push(*this, std::move(item)); }

  // Waits while the queue is empty and open. nullopt at the end.
  Pop pop() noexcept { return Pop(*this); }

  // False, and `item` is left alone, when push() would wait. QueueClosed when it is closed.
  bool try_push(T& item) { return take_in(item); }
  bool try_push(T&& item) { return take_in(item); }

  // nullopt when pop() would wait, and at the end.
  std::optional<T> try_pop() { return take_out(); }

  // No more items: a push that waits throws QueueClosed, pops get what is there and then nullopt. Idempotent.
  void close() noexcept {
    closed_ = true;
    poppers_.grant_all();
    while (internal::Waiter* const pusher = pushers_.first()) {
      pusher_of(*pusher).refused_ = true;
      pushers_.grant(*pusher);
    }
  }
  bool closed() const noexcept { return closed_; }

  // Items that wait for a pop.
  std::size_t size() const noexcept { return items_.size(); }

 private:
  static typename Push::Awaiter& pusher_of(internal::Waiter& waiter) noexcept { return static_cast<typename Push::Awaiter&>(waiter); }
  static typename Pop::Awaiter& popper_of(internal::Waiter& waiter) noexcept { return static_cast<typename Pop::Awaiter&>(waiter); }

  // Invariant: poppers wait only while there are no items, pushers only while the queue is full.

  // Into the hands of a popper, or into the queue; false when it is full.
  bool take_in(T& item) {
    if (closed_) throw QueueClosed();
    if (internal::Waiter* const popper = poppers_.first()) {
      popper_of(*popper).item_.emplace(std::move(item));
      poppers_.grant(*popper);
      return true;
    }
    if (max_size_ != 0 && items_.size() >= max_size_) return false;
    items_.push_back(std::move(item));
    return true;
  }

  // The first item, if there is one; its place goes to the first pusher.
  std::optional<T> take_out() {
    if (items_.empty()) return std::nullopt;
    if (internal::Waiter* const pusher = pushers_.first()) {
      items_.push_back(std::move(pusher_of(*pusher).item_));
      pushers_.grant(*pusher);
    }
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

  const std::size_t max_size_;
  bool closed_ = false;
  std::deque<T> items_;
  internal::WaitList pushers_;
  internal::WaitList poppers_;
};

}  // namespace weir
