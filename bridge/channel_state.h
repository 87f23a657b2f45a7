// What the ends of a channel share: the queue and its room, the loop's waiting tasks, and the one notice between them.
//
// The notice is an inbox node, pushed by the put or close that owes it (channel_queue.h). While it is on its way
// (`noticing_`) the loop asks for no other, so the node is never pushed twice; who waits meanwhile waits for its arrival,
// which hands out what is there, first come first served, and asks for the next one if somebody still waits.
// A second node tells the loop of the close, once, if a put_async() has asked for it (channel_room.h).
//
// Several tasks that read see the items in their order: who has an item in hand resumes before those with a later one, as
// ready tasks run first in, first out.
//
// A put_async() that waits gets the room of the item that is taken next: the loop puts its item there, before it tells the
// senders of the room. After a take the channel is in the engine's list of idle hooks, once, so that senders do not sleep
// beside room while the loop sleeps.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"
#include "weir/bridge/channel_errors.h"
#include "weir/bridge/channel_ends.h"
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
class ChannelState final : public InboxNode, public LoopBound, public IdleHook, public ChannelReader {
 public:
  // What travels: the item, or where its move might throw, its box.
  static constexpr bool kBoxed = !std::is_nothrow_move_constructible_v<T>;
  using Stored = std::conditional_t<kBoxed, std::unique_ptr<T>, T>;
  using Ends = ChannelEnds<Stored>;
  using Put = typename Ends::Put;

  explicit ChannelState(std::size_t max_size) : ends_(max_size, *this) {}
  ChannelState(const ChannelState&) = delete;
  ChannelState& operator=(const ChannelState&) = delete;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }  // the caller holds one
  void release() noexcept {
    // acq_rel, with itself: whoever deletes sees what the others did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // --- any thread
  static Stored store(T& item) {
    if constexpr (kBoxed) {
      return std::make_unique<T>(std::move(item));
    } else {
      return std::move(item);
    }
  }
  void put(T& item) {
    Stored stored = store(item);
    Put put = ends_.try_put(stored);
    if (put == Put::kFull) {
      if (on_loop_thread()) throw_channel_full_on_loop();
      put = ends_.put(stored);
    }
    if (put == Put::kClosed) throw_channel_closed("put");
  }
  bool try_put(T& item) {
    Stored stored = store(item);
    return try_put_stored(stored);
  }
  void close() noexcept {
    if (!ends_.close()) return;
    retain();
    if (!push_to_loop(close_notice_)) release();
  }
  bool closed() const noexcept { return ends_.closed(); }

  uint64_t put_count() const noexcept { return ends_.put_count(); }  // statistics
  uint64_t got_count() const noexcept { return ends_.got_count(); }
  uint64_t producer_sleeps() const noexcept { return ends_.sleeps(); }
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
      here_ = true;
      BridgeAnnex::of(engine).add(*this);
    } else if (bound != here) {
      throw_other_loop();
    }
  }

  // Takes the next item, if there is one and nobody waits in front; `ended` when none will come.
  void try_get(std::optional<Stored>& item, bool& ended) noexcept {
    if (getters_.empty()) take(item, ended);
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
    if (LoopControl* control = control_.load(std::memory_order_acquire)) control->release();  // pairs with bind()
  }

  // The calling thread is a loop's that runs, or the reader's between two runs: it must not sleep.
  bool on_loop_thread() const noexcept {
    if (thread_state.engine != nullptr) return true;
    LoopControl* const control = control_.load(std::memory_order_acquire);  // pairs with bind()
    return control != nullptr && control->on_own_thread();
  }
  void notify() noexcept override {
    notices_.fetch_add(1, std::memory_order_relaxed);  // a statistic
    retain();
    if (!push_to_loop(*this)) release();  // the loop is gone, and with it whoever waited
  }
  bool push_to_loop(InboxNode& node) noexcept {
    // acquire: pairs with bind(). A notice is only owed after it.
    const ControlRef control = ControlRef::share(control_.load(std::memory_order_acquire));
    return control->push(node);
  }

  // False: full, and `stored` is untouched.
  bool try_put_stored(Stored& stored) {
    const Put put = ends_.try_put(stored);
    if (put == Put::kClosed) throw_channel_closed("put");
    return put == Put::kPut;
  }

  void take(std::optional<Stored>& item, bool& ended) noexcept {
    Stored* const front = ends_.front(ended);
    if (front == nullptr) return;
    item.emplace(std::move(*front));
    if (putters_.empty()) {
      ends_.pop();
    } else {
      ends_.pop_and_keep_room();
      give_room_to_putter();
      ends_.let_go_of_room();
    }
    if (here_ && !hooked_ && ends_.has_untold_room()) hook();
  }
  // To the first, or if its put fails, to the next.
  void give_room_to_putter() noexcept {
    while (Putter* putter = putters_.pop_front()) {
      try {
        return putter->wake(ends_.put_in_exchange(putter->stored_) == Put::kPut);
      } catch (...) {
        putter->fail(std::current_exception());  // no memory
      }
    }
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
      take(getter->item_, getter->ended_);
      if (!getter->item_ && !getter->ended_) return;
      getters_.remove(*getter);
      getter->receive();
    }
  }
  void ask_for_notice() noexcept {
    while (!noticing_ && !getters_.empty()) {
      if (ends_.wait()) {
        noticing_ = true;
        return;
      }
      hand_out();
    }
  }
  void withdraw_wait() noexcept {
    if (noticing_ && getters_.empty() && ends_.cancel_wait()) noticing_ = false;
  }
  void refuse_putters() noexcept {
    while (Putter* putter = putters_.pop_front()) putter->wake(false);
  }
  // Beside the list of the annex the engine's: only while there is room that no sender has been woken for.
  void hook() noexcept {
    hooked_ = true;
    thread_state.engine->add_idle_hook(*this);
  }
  void unhook() noexcept {
    if (std::exchange(hooked_, false)) thread_state.engine->remove_idle_hook(*this);
  }
  void before_sleep() noexcept override {
    ends_.let_in_all();
    unhook();
  }
  void leave_loop() noexcept {
    here_ = false;
    unhook();
    if (BridgeAnnex::of(*thread_state.engine).remove(*this)) release();
  }
  void loop_goes() noexcept override {
    close();
    refuse_putters();
    here_ = false;
    unhook();
    release();
  }

  Ends ends_;
  std::atomic<uint64_t> notices_{0};
  alignas(64) std::atomic<int> references_{1};
  Notice<&ChannelState::refuse_putters> close_notice_{*this};
  Notice<&ChannelState::leave_loop> leave_notice_{*this};
  std::atomic<LoopControl*> control_{nullptr};  // of the loop that reads; counted
  IntrusiveList<Getter, &Getter::previous, &Getter::following> getters_;
  IntrusiveList<Putter, &Putter::previous, &Putter::following> putters_;
  bool noticing_ = false;            // a notice was asked for and has not arrived
  unsigned in_hand_ = 0;             // getters that have their item, or the end, and have not resumed
  bool here_ = false;                // in the annex's list
  bool hooked_ = false;              // in the engine's list
  unsigned ready_in_a_row_ = 0;      // items that were there at once
};

// A get(): waits for an item, the end, or its deadline.
template <class T>
class ChannelState<T>::Getter final : public Suspension, public Timer {
 public:
  Getter(ChannelState& state, absl::Duration limit) noexcept : state_(state), limit_(limit) {}
  ~Getter() { let_go(); }

  bool await_ready() {
    Root::current().throw_if_interrupted();
    state_.bind();
    state_.try_get(item_, ended_);
    return (item_ || ended_) && state_.in_hand_ == 0 && ++state_.ready_in_a_row_ < kChannelReadyMax;
  }
  void await_suspend(std::coroutine_handle<> point) {
    root_ = thread_state.root;
    state_.ready_in_a_row_ = 0;
    if (item_ || ended_) {
      hold();
      return root_->engine().yield(*root_, point);
    }
    root_->wait(point, *this);
    if (limit_ > absl::ZeroDuration() && limit_ != absl::InfiniteDuration()) {
      root_->engine().timers().arm(*this, deadline_after(root_->engine(), limit_));
    }
    state_.getters_.push_back(*this);
    state_.ask_for_notice();
  }
  // nullopt at the end. Where T's move throws, the item is lost with it, in the task that wanted it.
  std::optional<T> await_resume() {
    let_go();
    if (item_) {
      if constexpr (kBoxed) {
        return std::optional<T>(std::move(**item_));
      } else {
        return std::optional<T>(std::move(*item_));
      }
    }
    if (late_) throw_channel_timeout(limit_);
    if (given_up_) throw Cancelled();
    return std::nullopt;
  }

  Getter* previous = nullptr;
  Getter* following = nullptr;

 private:
  friend class ChannelState;

  // item_ or ended_ is there.
  void receive() noexcept {
    root_->engine().timers().cancel(*this);
    hold();
    root_->ready();
  }
  // Until it resumes, who takes a later item resumes behind it. The channel may be dropped meanwhile.
  void hold() noexcept {
    holds_ = true;
    ++state_.in_hand_;
    state_.retain();
  }
  void let_go() noexcept {
    if (!std::exchange(holds_, false)) return;
    --state_.in_hand_;
    state_.release();
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
  Root* root_ = nullptr;
  std::optional<Stored> item_;
  bool ended_ = false;
  bool late_ = false;
  bool given_up_ = false;
  bool holds_ = false;
};

// A put_async() that waits for room.
template <class T>
class ChannelState<T>::Putter final : public Suspension {
 public:
  Putter(ChannelState& state, T& item) : state_(state), stored_(store(item)) {}

  bool await_ready() {
    Root::current().throw_if_interrupted();
    if (state_.try_put_stored(stored_)) return put_ = true;
    state_.bind();
    return false;
  }
  bool await_suspend(std::coroutine_handle<> point) {
    if (!state_.ends_.ask()) return false;  // closed; a close from now on comes through the inbox
    root_ = thread_state.root;
    root_->wait(point, *this);
    state_.putters_.push_back(*this);
    return true;
  }
  void await_resume() {
    if (put_) return;
    if (failure_) std::rethrow_exception(failure_);
    if (given_up_) throw Cancelled();
    throw_channel_closed("put_async");
  }

  Putter* previous = nullptr;
  Putter* following = nullptr;

 private:
  friend class ChannelState;

  // The item was put, or the channel is closed.
  void wake(bool put) noexcept {
    put_ = put;
    root_->ready();
  }
  void fail(std::exception_ptr failure) noexcept {
    failure_ = std::move(failure);
    root_->ready();
  }
  void cancel() noexcept override {
    given_up_ = true;
    state_.putters_.remove(*this);
    root_->ready();
  }

  ChannelState& state_;
  Stored stored_;
  Root* root_ = nullptr;
  std::exception_ptr failure_;
  bool put_ = false;
  bool given_up_ = false;
};

}  // namespace weir::internal
