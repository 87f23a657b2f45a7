#include "weir/bridge/channel_queue.h"

#include <algorithm>

namespace weir::internal {

ChannelRoom::ChannelRoom(std::size_t max_size) noexcept
    : bounded_(max_size != 0),
      room_(static_cast<uint32_t>(std::min<std::size_t>(max_size, kClosedBit - 1))) {}

ChannelRoom::Taken ChannelRoom::try_take() noexcept {
  uint32_t room = room_.load(std::memory_order_seq_cst);  // pairs with give_back(); see the top of channel_queue.h
  for (;;) {
    if ((room & kClosedBit) != 0) return Taken::kClosed;
    if (!bounded_) return Taken::kTaken;
    if (room == 0) return Taken::kFull;
    // acquire: pairs with give_back(), whose item has left.
    if (room_.compare_exchange_weak(room, room - 1, std::memory_order_acquire, std::memory_order_seq_cst)) return Taken::kTaken;
  }
}

ChannelRoom::Taken ChannelRoom::take() noexcept {
  Taken taken = try_take();
  if (taken != Taken::kFull) return taken;
  const Parked parked;
  sleepers_.fetch_add(1, std::memory_order_seq_cst);  // pairs with the load in give_back()
  while ((taken = try_take()) == Taken::kFull) {
    sleeps_.fetch_add(1, std::memory_order_relaxed);
    futex_wait(room_, 0);
  }
  sleepers_.fetch_sub(1, std::memory_order_relaxed);  // too many only cost a wake-up for nobody
  return taken;
}

void ChannelRoom::give_back() noexcept {
  if (!bounded_) return;
  room_.fetch_add(1, std::memory_order_seq_cst);                              // pairs with try_take()
  if (sleepers_.load(std::memory_order_seq_cst) != 0) futex_wake(room_, 1);   // pairs with take()
}

bool ChannelRoom::close() noexcept {
  const uint32_t before = room_.fetch_or(kClosedBit, std::memory_order_seq_cst);    // pairs with try_take(), closed()
  if (sleepers_.load(std::memory_order_seq_cst) != 0) futex_wake(room_, kWakeAll);  // pairs with take()
  return (before & kClosedBit) == 0;
}

}  // namespace weir::internal
