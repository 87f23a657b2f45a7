// A stream between the thread that produces it and the loop that consumes it: what IteratorWrapper<T> and its producer
// share. Counted by both.
//
//   here --first next()--> queued --a thread takes it--> running --the producer's frame is gone--> ended
//                            \--closed before that: withdrawn, its producer never runs --> ended
//   closed, at any time: by close(), by dropping the IteratorWrapper on any thread, by the loop's end
//
// A thread takes it, or a close withdraws it before: one of them wins (claim.h), and ends the production. What the producer
// threw and nobody took goes to LoopOptions::on_unhandled, at the close.
//
// The items travel through a BoundedRing, whose file argues why no wake-up is lost. Two inbox nodes go from the producer
// to the loop: `notice_`, that an item or the end is there for a waiting next(), and `end_`, once, that the thread is
// free. A next() that is cancelled takes its wait back from the ring; when it comes too late for that, the notice is on
// its way, and it waits for it: so the node is never pushed while it is still in the inbox. A notice may find the ring
// empty, because its item was taken before it was sent: then the loop waits in the ring again.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <utility>
#include <vector>

#include "weir/bridge/bounded_ring.h"
#include "weir/bridge/claim.h"
#include "weir/bridge/interrupt.h"
#include "weir/bridge/loop_annex.h"
#include "weir/runtime/context.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/root.h"

namespace weir::internal {

// All that does not depend on the type of the items.
class StreamStateBase : public Job, public IdleHook, public LoopBound, public RingReader {
 public:
  StreamStateBase(Executor* executor, bool bounded);
  StreamStateBase(const StreamStateBase&) = delete;
  StreamStateBase& operator=(const StreamStateBase&) = delete;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }  // the caller holds one
  void release() noexcept {
    // acq_rel, with itself: whoever deletes sees what the others did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) let_go();
  }

  // --- consumer, on the loop
  bool started() const noexcept { return started_; }
  void start();
  void check_loop() const;  // once started: std::logic_error on another loop than the one that started it
  // Started by the loop that runs here, and nobody waits: all that a next() has to know when items are there.
  bool readable_here() const noexcept { return readable_on_ == current_control; }
  bool ended() const noexcept { return ended_; }
  // Any thread: nobody wants more.
  void close() noexcept;
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }  // a hint; the ring has its own word
  void reached_end() noexcept { closed_.store(true, std::memory_order_relaxed); }   // the consumer has seen the end

  // A next() that waits for a notice, or a close() that waits for the end.
  void set_waiting(Root* root) noexcept {
    waiting_ = root;
    readable_on_ = root == nullptr ? control_.get() : nullptr;
  }
  Root* waiting() const noexcept { return waiting_; }
  class EndWaiter;
  void add(EndWaiter& waiter) noexcept;
  void remove(EndWaiter& waiter) noexcept;

  // The consumer lets go, on any thread.
  void drop_consumer() noexcept {
    close();
    release();
  }

 protected:
  virtual ~StreamStateBase() = default;

  // On the producing thread: makes all items, then lets go of everything that made them. Throws what the producer throws.
  virtual void produce(std::stop_token stop) = 0;
  virtual void forget_producer() noexcept = 0;
  virtual void finish(std::exception_ptr failure) noexcept = 0;
  virtual std::exception_ptr take_failure() noexcept = 0;  // what finish() was given, if nobody took it
  virtual void close_ring() noexcept = 0;
  virtual void wake_producer_if_room() noexcept = 0;
  virtual bool wait_for_items() noexcept = 0;  // false: items or the end are there, nothing to wait for

 private:
  template <void (StreamStateBase::*kDeliver)() noexcept>
  class Node final : public InboxNode {
   public:
    explicit Node(StreamStateBase& state) noexcept : state_(state) {}
    void deliver() noexcept override { (state_.*kDeliver)(); }

   private:
    StreamStateBase& state_;
  };

  // --- Job
  void run() noexcept final;
  void drop() noexcept final;
  // --- IdleHook, LoopBound, RingReader
  void before_sleep() noexcept final { wake_producer_if_room(); }
  void loop_goes() noexcept final { close(); }
  void notify() noexcept final;

  void end_production(std::exception_ptr failure) noexcept;
  void let_go() noexcept;
  void report_failure() noexcept;  // if nobody took it
  void noticed() noexcept;
  void finished() noexcept;

  Executor* const executor_;  // null: the loop's
  const bool bounded_;
  Context context_;  // of the call
  ControlRef control_;
  std::stop_source stop_;
  Interrupt interrupt_;
  Node<&StreamStateBase::noticed> notice_{*this};
  Node<&StreamStateBase::finished> end_{*this};
  std::atomic<int> references_{1};
  Claim<> claim_;
  std::atomic<bool> closed_{false};
  bool started_ = false;
  bool ended_ = false;
  Root* waiting_ = nullptr;
  const LoopControl* readable_on_ = nullptr;
  EndWaiter* end_waiters_ = nullptr;
};

// Waits until the producing thread is free. Cancelling gives the wait up.
class StreamStateBase::EndWaiter final : public Suspension {
 public:
  explicit EndWaiter(StreamStateBase& state) noexcept : state_(state) {}
  bool await_ready() const {
    Root::current().throw_if_interrupted();
    if (!state_.started()) return true;
    if (state_.ended()) {
      state_.report_failure();
      return true;
    }
    state_.check_loop();
    return false;
  }
  void await_suspend(std::coroutine_handle<> point) noexcept {
    root_ = thread_state.root;
    root_->wait(point, *this);
    state_.add(*this);
  }
  void await_resume() const {
    if (given_up_) throw Cancelled();
  }

 private:
  friend class StreamStateBase;
  void cancel() noexcept override {
    given_up_ = true;
    state_.remove(*this);
    root_->ready();
  }

  StreamStateBase& state_;
  Root* root_ = nullptr;
  EndWaiter* next_ = nullptr;
  bool given_up_ = false;
};

template <class T>
class StreamState : public StreamStateBase {
 public:
  StreamState(Executor* executor, std::size_t max_size)
      : StreamStateBase(executor, max_size != 0), ring(BoundedRingOptions{.max_size = max_size}, *this) {}

  BoundedRing<T> ring;

 private:
  void finish(std::exception_ptr failure) noexcept final { ring.finish(std::move(failure)); }
  std::exception_ptr take_failure() noexcept final { return ring.take_error(); }
  void close_ring() noexcept final { ring.close(); }
  void wake_producer_if_room() noexcept final { ring.wake_producer_if_room(); }
  bool wait_for_items() noexcept final { return ring.wait(); }
};

}  // namespace weir::internal
