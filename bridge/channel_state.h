// What the ends of a channel share: the queue, the loop's waiting tasks, and the one notice between them.
//
// The notice is an inbox node, pushed by the put or close that cleared the queue's wait flag. While it is on its way
// (`noticing_`) the loop asks for no other, so the node is never pushed twice; who waits meanwhile waits for its arrival,
// which hands out what is there, first come first served, and asks for the next one if somebody still waits.
// A second node tells the loop of the close, once, if a put_async() has asked for it (channel_room.h).
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "weir/bridge/channel_errors.h"
#include "weir/bridge/channel_queue.h"
#include "weir/bridge/channel_room.h"
#include "weir/bridge/loop_annex.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/intrusive_list.h"
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/root.h"
#include "weir/runtime/timers.h"

namespace weir::internal {

[[noreturn]] void throw_channel_closed(const char* side);
[[noreturn]] void throw_channel_timeout(absl::Duration limit);
[[noreturn]] void throw_channel_full_on_loop();
[[noreturn]] void throw_other_loop();

inline constexpr unsigned kChannelReadyMax = 256;  // items in a row without letting other tasks run

// Any thread: put(), try_put(), close(). The loop of the first get: the rest. Counted.
template <class T>
class ChannelState final : public InboxNode, public LoopBound {
 public:
  using Node = ChannelNode<T>;
  using Room = ChannelRoom<>;

  explicit ChannelState(std::size_t max_size) : room_(max_size) {}
  ChannelState(const ChannelState&) = delete;
  ChannelState& operator=(const ChannelState&) = delete;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }  // the caller holds one
  void release() noexcept {
    // acq_rel, with itself: whoever deletes sees what the others did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // --- any thread
  void put(T&& item) {
    Room::Taken taken = room_.try_take();
    if (taken == Room::Taken::kFull) {
      if (on_loop_thread()) throw_channel_full_on_loop();
      taken = room_.take();
    }
    if (taken == Room::Taken::kClosed || !push(std::move(item))) throw_channel_closed("put");
  }
  // False: full, and the item is untouched.
  bool try_put(T& item) {
    const Room::Taken taken = room_.try_take();
    if (taken == Room::Taken::kFull) return false;
    if (taken == Room::Taken::kClosed || !push(std::move(item))) throw_channel_closed("put");
    return true;
  }
  void close() noexcept {
    const bool asked = room_.close();
    if (queue_.close()) notify();
    if (!asked) return;
    retain();
    if (!push_to_loop(close_notice_)) release();
  }
  bool closed() const noexcept { return queue_.closed(); }

  uint64_t put_count() const noexcept { return put_count_.load(std::memory_order_relaxed); }  // statistics
  uint64_t got_count() const noexcept { return got_count_.load(std::memory_order_relaxed); }
  uint64_t producer_sleeps() const noexcept { return room_.sleeps(); }
  uint64_t reader_wakeups() const noexcept { return notices_.load(std::memory_order_relaxed); }

  // --- the loop
  class Getter;
  class Putter;

  // Binds it to the running loop. std::logic_error when it is another one's.
  void bind() {
    Engine& engine = Root::current().engine();
    LoopControl* const here = &engine.control();
    LoopControl* bound = control_.load(std::memory_order_relaxed);  // a hint: the exchange decides
    if (bound == here) return;
    bound = nullptr;
    // release: pairs with the acquire in push_to_loop().
    if (control_.compare_exchange_strong(bound, here, std::memory_order_release, std::memory_order_relaxed)) {
      here->retain();
      retain();  // the list's, until leave_loop()
      BridgeAnnex::of(engine).add(*this);
    } else if (bound != here) {
      throw_other_loop();
    }
  }

  // The next item, if there is one and nobody waits in front; `ended` when none will come.
  std::optional<T> try_get(bool& ended) {
    ended = false;
    if (!getters_.empty()) return std::nullopt;
    if (taken_ == nullptr) taken_ = queue_.take(ended);
    return pop();
  }

  // The reader lets go, on any thread: senders learn that it is closed, and what is queued is dropped with the state.
  void drop_reader() noexcept {
    close();
    LoopControl* const bound = control_.load(std::memory_order_acquire);  // pairs with bind()
    if (bound != nullptr && thread_state.engine != nullptr && &thread_state.engine->control() == bound) {
      leave_loop();
    } else if (bound != nullptr) {
      retain();
      if (!push_to_loop(leave_notice_)) release();  // the loop has gone, and let go of it
    }
    release();
  }

 private:
  // Something that another thread has done, for the loop to act on.
  template <void (ChannelState::*kAct)() noexcept>
  class Notice final : public InboxNode {
   public:
    explicit Notice(ChannelState& state) noexcept : state_(state) {}
    void deliver() noexcept override {
      (state_.*kAct)();
      state_.release();
    }

   private:
    ChannelState& state_;
  };

  ~ChannelState() {
    ChannelQueue<T>::free_list(taken_);
    if (LoopControl* control = control_.load(std::memory_order_acquire)) control->release();  // pairs with bind()
  }

  bool push(T&& item) {
    auto node = std::make_unique<Node>(std::move(item));
    switch (queue_.put(*node)) {
      case ChannelQueue<T>::Put::kClosed:
        return false;
      case ChannelQueue<T>::Put::kOwesNotice:
        notify();
        break;
      case ChannelQueue<T>::Put::kQuietly:
        break;
    }
    node.release();  // the queue's
    put_count_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  // The calling thread is a loop's that runs, or the reader's between two runs: it must not sleep.
  bool on_loop_thread() const noexcept {
    if (thread_state.engine != nullptr) return true;
    LoopControl* const control = control_.load(std::memory_order_acquire);  // pairs with bind()
    return control != nullptr && control->on_own_thread();
  }
  void notify() noexcept {
    notices_.fetch_add(1, std::memory_order_relaxed);  // a statistic
    retain();
    if (!push_to_loop(*this)) release();  // the loop is gone, and with it whoever waited
  }
  bool push_to_loop(InboxNode& node) noexcept {
    // acquire: pairs with bind(). A notice is only owed after it.
    const ControlRef control = ControlRef::share(control_.load(std::memory_order_acquire));
    return control->push(node);
  }

  std::optional<T> pop() {
    Node* const node = taken_;
    if (node == nullptr) return std::nullopt;
    taken_ = node->next;
    std::optional<T> item(std::move(node->item));
    delete node;
    got_count_.store(got_count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // the loop alone writes it
    if (Putter* putter = putters_.pop_front()) {
      putter->wake(true);  // the room goes from hand to hand
    } else {
      room_.give_back();
    }
    return item;
  }

  void deliver() noexcept override {
    noticing_ = false;
    hand_out();
    ask_for_notice();
    release();
  }

  // Gives the waiting getters what is there, or the end.
  void hand_out() noexcept {
    while (Getter* getter = getters_.first()) {
      bool ended = false;
      if (taken_ == nullptr) taken_ = queue_.take(ended);
      if (taken_ == nullptr && !ended) return;
      getters_.remove(*getter);
      getter->receive(pop());
    }
  }
  void ask_for_notice() noexcept {
    while (!noticing_ && !getters_.empty()) {
      if (queue_.wait()) {
        noticing_ = true;
        return;
      }
      hand_out();
    }
  }
  void withdraw_wait() noexcept {
    if (noticing_ && getters_.empty() && queue_.cancel_wait()) noticing_ = false;
  }
  void refuse_putters() noexcept {
    while (Putter* putter = putters_.pop_front()) putter->wake(false);
  }
  void leave_loop() noexcept {
    if (BridgeAnnex::of(*thread_state.engine).remove(*this)) release();
  }
  void loop_goes() noexcept override {
    close();
    refuse_putters();
    release();
  }

  // What senders write, what both sides write and what the loop writes are on cache lines of their own.
  alignas(64) ChannelQueue<T> queue_;
  alignas(64) Room room_;
  alignas(64) std::atomic<uint64_t> put_count_{0};
  std::atomic<uint64_t> notices_{0};
  alignas(64) std::atomic<int> references_{1};
  Notice<&ChannelState::refuse_putters> close_notice_{*this};
  Notice<&ChannelState::leave_loop> leave_notice_{*this};
  std::atomic<LoopControl*> control_{nullptr};  // of the loop that reads; counted
  Node* taken_ = nullptr;            // out of the queue, oldest first
  IntrusiveList<Getter, &Getter::previous, &Getter::following> getters_;
  IntrusiveList<Putter, &Putter::previous, &Putter::following> putters_;
  bool noticing_ = false;            // a notice was asked for and has not arrived
  std::atomic<uint64_t> got_count_{0};
};

// A get(): waits for an item, the end, or its deadline.
template <class T>
class ChannelState<T>::Getter final : public Suspension, public Timer {
 public:
  Getter(ChannelState& state, absl::Duration limit, unsigned& ready_in_a_row) noexcept
      : state_(state), limit_(limit), ready_in_a_row_(ready_in_a_row) {}
  ~Getter() = default;

  bool await_ready() {
    Root::current().throw_if_interrupted();
    state_.bind();
    hold(state_.try_get(ended_));
    return (item_ || ended_) && ++ready_in_a_row_ < kChannelReadyMax;
  }
  void await_suspend(std::coroutine_handle<> point) {
    root_ = thread_state.root;
    ready_in_a_row_ = 0;
    if (item_ || ended_) return root_->engine().yield(*root_, point);
    root_->wait(point, *this);
    if (limit_ > absl::ZeroDuration() && limit_ != absl::InfiniteDuration()) {
      root_->engine().timers().arm(*this, deadline_after(root_->engine(), limit_));
    }
    state_.getters_.push_back(*this);
    state_.ask_for_notice();
  }
  // nullopt at the end.
  std::optional<T> await_resume() {
    if (item_) return std::move(item_);
    if (late_) throw_channel_timeout(limit_);
    if (given_up_) throw Cancelled();
    return std::nullopt;
  }

  Getter* previous = nullptr;
  Getter* following = nullptr;

 private:
  friend class ChannelState;

  // Items need not be assignable.
  void hold(std::optional<T> item) {
    if (item) item_.emplace(std::move(*item));
  }
  void receive(std::optional<T> item) noexcept {
    hold(std::move(item));
    ended_ = !item_;
    root_->engine().timers().cancel(*this);
    root_->ready();
  }
  void cancel() noexcept override {
    given_up_ = true;
    root_->engine().timers().cancel(*this);
    leave();
  }
  void fire() noexcept override {
    late_ = true;
    leave();
  }
  void leave() noexcept {
    state_.getters_.remove(*this);
    state_.withdraw_wait();
    root_->ready();
  }

  ChannelState& state_;
  const absl::Duration limit_;
  unsigned& ready_in_a_row_;
  Root* root_ = nullptr;
  std::optional<T> item_;
  bool ended_ = false;
  bool late_ = false;
  bool given_up_ = false;
};

// A put_async() that waits for room.
template <class T>
class ChannelState<T>::Putter final : public Suspension {
 public:
  Putter(ChannelState& state, T& item) noexcept : state_(state), item_(item) {}

  bool await_ready() {
    Root::current().throw_if_interrupted();
    if (state_.try_put(item_)) return put_ = true;
    state_.bind();
    return false;
  }
  bool await_suspend(std::coroutine_handle<> point) {
    root_ = thread_state.root;
    root_->wait(point, *this);
    state_.putters_.push_back(*this);
    if (state_.room_.ask()) return true;
    state_.putters_.remove(*this);
    return false;
  }
  void await_resume() {
    if (put_) return;
    if (given_up_) throw Cancelled();
    if (!admitted_ || !state_.push(std::move(item_))) throw_channel_closed("put_async");
  }

  Putter* previous = nullptr;
  Putter* following = nullptr;

 private:
  friend class ChannelState;

  void wake(bool admitted) noexcept {
    admitted_ = admitted;
    root_->ready();
  }
  void cancel() noexcept override {
    given_up_ = true;
    state_.putters_.remove(*this);
    root_->ready();
  }

  ChannelState& state_;
  T& item_;
  Root* root_ = nullptr;
  bool put_ = false;
  bool admitted_ = false;
  bool given_up_ = false;
};

}  // namespace weir::internal
