// A channel without its loop: the queue, the room where its senders sleep, and the order in which each side uses both.
//
// Why no item and no wake-up is lost: channel_queue.h for the loop's side, channel_room.h for the senders'.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "weir/bridge/channel_queue.h"
#include "weir/bridge/channel_room.h"

namespace weir::internal {

// A channel of less than kSmall lets a sender in for each item that is taken.
template <class T, class Threads = SystemThreads, unsigned kGenerations = 40, unsigned kSmall = 64>
class ChannelEnds {
 public:
  using Queue = ChannelQueue<T, Threads, kGenerations>;
  using Put = typename Queue::Put;

  template <class... FirstSize>
  ChannelEnds(std::size_t max_size, ChannelReader& reader, FirstSize... first_size)
      : queue_(max_size, reader, first_size...), small_(queue_.limit() < kSmall) {}

  // --- any thread
  // kFull, kClosed: `item` is untouched.
  Put try_put(T& item) { return queue_.put(item); }
  // Any thread but the loop's: sleeps while it is full, never kFull.
  Put put(T& item) {
    return room_.put([&] { return queue_.put(item); }, Put::kFull);
  }
  // Wakes all senders. True, once: the loop has asked to be told.
  bool close() noexcept {
    if (!queue_.close()) return false;
    if (room_.has_sleepers()) room_.wake(kWakeAll);
    return room_.asked();
  }
  bool closed() const noexcept { return queue_.closed(); }

  uint64_t put_count() const noexcept { return queue_.put_count(); }  // statistics
  uint64_t got_count() const noexcept { return queue_.got_count(); }
  uint64_t sleeps() const noexcept { return room_.sleeps(); }

  // --- the loop
  // The oldest item, until pop(). Null: nothing is there; `ended`: nothing will come.
  T* front(bool& ended) noexcept { return queue_.front(ended); }
  void pop() noexcept {
    queue_.pop();
    queue_.tell();
    if (queue_.taken() - looked_ >= credit_) let_in(enough_);
  }
  // The same in two steps. Between them the room is the loop's, for put_in_exchange(), which is never kFull.
  void pop_and_keep_room() noexcept { queue_.pop(); }
  Put put_in_exchange(T& item) { return queue_.put_in_exchange(item); }
  void let_go_of_room() noexcept { queue_.tell(); }
  // Senders may sleep beside room: let_in_all() before the loop sleeps.
  bool has_untold_room() const noexcept { return queue_.bounded() && settled_ != queue_.taken(); }
  void let_in_all() noexcept { let_in(1); }

  // Asks for one notice. False: an item or the end is there.
  bool wait() noexcept {
    let_in_all();
    return queue_.wait();
  }
  bool cancel_wait() noexcept { return queue_.cancel_wait(); }

  // Asks to be told of the close. False: it is closed already.
  bool ask() noexcept {
    room_.ask();
    return !queue_.closed();
  }

 private:
  // Wakes senders if there is room for `least` items.
  void let_in(uint64_t least) noexcept {
    if (!has_untold_room()) return;
    queue_.tell_sleepers();
    looked_ = queue_.taken();
    const bool sleepers = room_.has_sleepers();
    const uint64_t room = queue_.room();
    if (sleepers && room < least) return;
    settled_ = looked_;
    if (sleepers) room_.wake(room);
  }

  Queue queue_;
  alignas(64) ChannelRoom<Threads> room_;
  alignas(64) const bool small_;
  const uint64_t credit_ = small_ ? 1 : queue_.limit() / 4;  // what the loop may have taken without looking at the sleepers
  const uint64_t enough_ = small_ ? 1 : queue_.limit() - queue_.limit() / 2;  // room for which it wakes them while it runs
  uint64_t looked_ = 0;                // taken, when the loop last looked at the sleepers
  uint64_t settled_ = 0;               // taken, when as many as there was room for were woken, or nobody slept
};

}  // namespace weir::internal
