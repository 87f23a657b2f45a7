// FromThreadChannel: items from any number of threads to a loop. The reader's end, on the loop.
//
//   weir::FromThreadChannel<int> channel({.max_size = 2});
//   weir::ChannelSender<int> sender = channel.sender();        // for threads: copyable, outlives the channel
//
//   // a thread                                 // the loop
//   auto guard = sender.closer();               while (auto item = co_await channel.next()) use(*item);
//   sender.put(42);
//
// Items of one sender come in their order. What was put before the close is delivered, then comes the end.
// A channel belongs to the loop of its first get; it may be made, and filled, before there is one. Several tasks of that
// loop may get: first come, first served. Cancelling a get, or its being late, loses no item.
//
// max_size 0 is unbounded. timeout 0 waits for ever, and is the default of each get().
//
// Cost of an item: one compare-exchange for who puts it, none for who gets it, no allocation; memory is one ring, of at most
// twice the items that ever waited at the same time. (An item whose move may throw is boxed.) A post, and an eventfd write if
// the loop sleeps, for each time that the reader had to wait.
// A sender sleeps on a futex while a bounded channel is full. It is woken when there is room; where max_size is 64 or more,
// when half of it is free, and when the loop is about to sleep.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "weir/bridge/channel_errors.h"
#include "weir/bridge/channel_state.h"
#include "weir/bridge/no_range.h"
#include "weir/runtime/task.h"

namespace weir {

struct ChannelOptions {
  std::size_t max_size = 0;                        // items that may wait; 0: no limit
  absl::Duration timeout = absl::ZeroDuration();   // of a get(); 0 or less: for ever
};

struct ChannelStats {
  uint64_t put = 0;
  uint64_t got = 0;
  uint64_t producer_sleeps = 0;  // times that a sender slept because the channel was full
  uint64_t reader_wakeups = 0;   // times that the loop's side had waited
};

// The senders' end. Any thread; copies send into the same channel, and outlive it.
template <class T>
class ChannelSender {
 public:
  explicit ChannelSender(internal::ChannelState<T>& state) noexcept : state_(&state) { state_->retain(); }
  ChannelSender(const ChannelSender& other) noexcept : ChannelSender(*other.state_) {}
  ChannelSender& operator=(const ChannelSender& other) noexcept {
    other.state_->retain();
    std::exchange(state_, other.state_)->release();
    return *this;
  }
  ~ChannelSender() { state_->release(); }

  // Sleeps while the channel is full. ChannelClosed when it is closed, also while it sleeps. On a loop's own thread it
  // never sleeps, nor, once the loop has read from it, between two runs: DeadlockError when full; co_await put_async() there.
  void put(T item) const { state_->put(item); }

  // False when full. ChannelClosed.
  bool try_put(T item) const { return state_->try_put(item); }

  // On the reader's loop: waits for room, first come first served, and before any thread that sleeps in put(): tasks that
  // always put leave no room for threads. ChannelClosed. Cancelling puts nothing.
  Task<void> put_async(T item) const { return put_when_free(*this, std::move(item)); }

  // Nothing is put any more; what was put is still delivered. Idempotent.
  void close() const noexcept { state_->close(); }
  bool is_closed() const noexcept { return state_->closed(); }

  // Closes at the end of a scope, as Python's `with channel:`.
  class [[nodiscard("keep the guard: the channel is closed at its end")]] Closer {
   public:
    explicit Closer(ChannelSender sender) noexcept : sender_(std::move(sender)) {}
    Closer(const Closer&) = delete;
    Closer& operator=(const Closer&) = delete;
    ~Closer() { sender_.close(); }

   private:
    const ChannelSender sender_;
  };
  Closer closer() const { return Closer(*this); }

 private:
  static Task<void> put_when_free(ChannelSender own, T item) {
    typename internal::ChannelState<T>::Putter putter(*own.state_, item);
    co_await putter;
  }

  internal::ChannelState<T>* state_;
};

namespace internal {

// What get() and next() give: an awaitable that takes an item when it is awaited.
template <class T, class Awaiter>
class [[nodiscard("a get() or next() takes nothing until it is awaited: co_await it, or spawn() it")]] ChannelTake {
 public:
  ChannelTake(ChannelState<T>& state, absl::Duration limit) noexcept : state_(state), limit_(limit) {}
  Awaiter operator co_await() const noexcept { return Awaiter(state_, limit_); }

 private:
  ChannelState<T>& state_;
  const absl::Duration limit_;
};

template <class T>
using ChannelNext = ChannelTake<T, typename ChannelState<T>::Getter>;

// The end is an error.
template <class T>
class ChannelItemAwaiter {
 public:
  ChannelItemAwaiter(ChannelState<T>& state, absl::Duration limit) noexcept : getter_(state, limit) {}
  bool await_ready() { return getter_.await_ready(); }
  void await_suspend(std::coroutine_handle<> point) { getter_.await_suspend(point); }
  T await_resume() {
    std::optional<T> item = getter_.await_resume();
    if (!item) throw_channel_closed("get");
    return std::move(*item);
  }

 private:
  typename ChannelState<T>::Getter getter_;
};

template <class T>
using ChannelGet = ChannelTake<T, ChannelItemAwaiter<T>>;

}  // namespace internal

template <class T>
class FromThreadChannel {
 public:
  explicit FromThreadChannel(ChannelOptions options = {})
      : state_(new internal::ChannelState<T>(options.max_size)), timeout_(options.timeout) {}
  FromThreadChannel(FromThreadChannel&& other) noexcept
      : state_(std::exchange(other.state_, nullptr)), timeout_(other.timeout_) {}
  FromThreadChannel& operator=(FromThreadChannel&&) = delete;
  // Closes it, on any thread: senders get ChannelClosed.
  ~FromThreadChannel() {
    if (state_ != nullptr) state_->drop_reader();
  }

  ChannelSender<T> sender() const noexcept { return ChannelSender<T>(*state_); }

  // On the loop. get(): ChannelClosed at the end, ChannelTimeout when no item came within `timeout`, one deadline for the
  // whole call; 0 or less: for ever.
  internal::ChannelGet<T> get() { return get(timeout_); }
  internal::ChannelGet<T> get(absl::Duration timeout) { return internal::ChannelGet<T>(*state_, timeout); }
  auto operator co_await() noexcept { return get().operator co_await(); }

  // nullopt at the end; ChannelTimeout as get().
  internal::ChannelNext<T> next() { return internal::ChannelNext<T>(*state_, timeout_); }

  // For the message of a range-for.
  internal::NoRange<T> begin() {
    static_assert(internal::never<T>, "a channel is no range: while (auto item = co_await channel.next()) reads it on the loop");
    return {};
  }
  internal::NoRange<T> end() { return {}; }

  // The senders' calls, while the channel surely lives.
  void put(T item) { state_->put(item); }
  bool try_put(T item) { return state_->try_put(item); }
  Task<void> put_async(T item) { return sender().put_async(std::move(item)); }
  void close() noexcept { state_->close(); }
  bool is_closed() const noexcept { return state_->closed(); }
  auto closer() { return sender().closer(); }

  ChannelStats stats() const noexcept {
    ChannelStats stats;
    stats.put = state_->put_count();
    stats.got = state_->got_count();
    stats.producer_sleeps = state_->producer_sleeps();
    stats.reader_wakeups = state_->reader_wakeups();
    return stats;
  }

 private:
  internal::ChannelState<T>* state_;
  const absl::Duration timeout_;
};

}  // namespace weir
