#include "weir/runtime/timers.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace weir::internal {

inline void Timers::into_ring(Timer*& head, Timer& timer) {
  if (head == nullptr) {
    timer.prev_ = timer.next_ = head = &timer;
    return;
  }
  timer.next_ = head;
  timer.prev_ = head->prev_;
  timer.prev_->next_ = timer.next_->prev_ = &timer;
}

inline void Timers::out_of_ring(Timer*& head, Timer& timer) {
  if (timer.next_ == &timer) {
    head = nullptr;
    return;
  }
  timer.prev_->next_ = timer.next_;
  timer.next_->prev_ = timer.prev_;
  if (head == &timer) head = timer.next_;
}

void Timers::arm(Timer& timer, int64_t deadline_ns) {
  cancel(timer);
  timer.deadline_ = deadline_ns;
  timer.order_ = armed_total_++;
  ++size_;
  place(timer);
}

void Timers::arm_unsettled(Timer& timer, int64_t delay_ns) {
  cancel(timer);
  timer.deadline_ = delay_ns;
  timer.place_ = Timer::kUnsettled;
  ++size_;
  into_ring(unsettled_, timer);
}

void Timers::settle(int64_t now_ns) {
  while (unsettled_ != nullptr) {
    Timer& timer = *unsettled_;
    out_of_ring(unsettled_, timer);
    timer.deadline_ = timer.deadline_ < kNoDeadline - now_ns ? now_ns + timer.deadline_ : kNoDeadline;
    timer.order_ = armed_total_++;
    place(timer);
  }
}

void Timers::take_out(Timer& timer) {
  if (timer.place_ == Timer::kUnsettled) {
    out_of_ring(unsettled_, timer);
  } else if (timer.place_ == Timer::kInHeap) {
    remove(timer);
  } else {
    unlink(timer);
  }
  timer.place_ = Timer::kIdle;
  --size_;
}

int64_t Timers::first_deadline() const {
  const int slot = first_slot();  // while one is drained, perhaps of a level below it
  int64_t in_wheel = slot != kNoSlot ? slots_[slot].earliest : kNoDeadline;
  if (draining_ != kNoSlot && slots_[draining_].head != nullptr) in_wheel = std::min(in_wheel, slots_[draining_].earliest);
  return heap_ != nullptr ? std::min(heap_->deadline_, in_wheel) : in_wheel;
}

size_t Timers::fire(int64_t now_ns, size_t budget) {
  now_ns = std::min(now_ns, kNoDeadline - 1);
  size_t fired = 0;
  size_t moves = kMovesMax;
  for (;;) {
    // Until the slot is empty, the heap's first may not be the first.
    if (!drain(moves)) return fired;
    while (heap_ != nullptr && heap_->deadline_ <= now_ns) {
      if (fired == budget) return fired;
      Timer& timer = *heap_;
      cancel(timer);
      ++fired;
      timer.fire();
    }
    const int slot = first_slot();
    if (slot == kNoSlot || start(slot) > tick(now_ns)) break;
    position_ = start(slot);
    draining_ = slot;
  }
  position_ = std::max(position_, tick(now_ns));
  return fired;
}

// Puts an armed timer into the slot or the heap where it belongs at this position.
void Timers::place(Timer& timer) {
  const int64_t at = tick(timer.deadline_);
  if (at <= position_) {
    push(timer);
    return;
  }
  const int level = (std::bit_width(static_cast<uint64_t>(at ^ position_)) - 1) / kDigitBits;
  const int digit = static_cast<int>(at >> (level * kDigitBits)) & (kSlots - 1);
  const int index = level * kSlots + digit;
  Slot& slot = slots_[index];
  timer.place_ = static_cast<unsigned>(index);
  timer.child_ = std::exchange(slot.recent[slot.arrivals++ % kPrefetch], &timer);
  slot.earliest = slot.head == nullptr ? timer.deadline_ : std::min(slot.earliest, timer.deadline_);
  occupied_[level] |= uint64_t{1} << digit;
  into_ring(slot.head, timer);
}

// Takes a timer out of its slot.
void Timers::unlink(Timer& timer) {
  const int index = static_cast<int>(timer.place_);
  Slot& slot = slots_[index];
  out_of_ring(slot.head, timer);
  if (slot.head == nullptr) occupied_[index / kSlots] &= ~(uint64_t{1} << (index % kSlots));
}

int Timers::first_slot() const {
  for (int level = 0; level < kLevels; ++level) {
    if (occupied_[level] != 0) return level * kSlots + std::countr_zero(occupied_[level]);
  }
  return kNoSlot;
}

// The first tick of a slot: the position's digits above the slot's level, the slot's own, zeros below.
int64_t Timers::start(int slot) const {
  const int below = slot / kSlots * kDigitBits;
  const int64_t above = position_ >> (below + kDigitBits) << (below + kDigitBits);
  return above | int64_t{slot % kSlots} << below;
}

// Empties the slot that the position has reached. False when that would take more moves than are left.
bool Timers::drain(size_t& moves) {
  if (draining_ == kNoSlot) return true;
  Slot& slot = slots_[draining_];
  // Last to first, the way that the prefetched addresses lead. The heap wants its tick latest first: what comes in the
  // order of deadlines becomes a chain there, which comes apart without comparing.
  const bool from_back = draining_ >= kSlots || (slot.head != nullptr && slot.head->before(*slot.head->prev_));
  while (slot.head != nullptr) {
    if (moves == 0) return false;
    --moves;
    Timer& timer = from_back ? *slot.head->prev_ : *slot.head;
    __builtin_prefetch(timer.child_, /*for writing*/ 1);
    unlink(timer);
    place(timer);
  }
  draining_ = kNoSlot;
  return true;
}

void Timers::push(Timer& timer) {
  timer.place_ = Timer::kInHeap;
  timer.prev_ = timer.next_ = timer.child_ = nullptr;
  heap_ = heap_ == nullptr ? &timer : meld(heap_, &timer);
}

// Takes a timer out of the heap, the first or any other.
void Timers::remove(Timer& timer) {
  Timer* const below = timer.child_ != nullptr ? meld_children(timer.child_) : nullptr;
  if (&timer == heap_) {
    heap_ = below;
    return;
  }
  (timer.prev_->child_ == &timer ? timer.prev_->child_ : timer.prev_->next_) = timer.next_;
  if (timer.next_ != nullptr) timer.next_->prev_ = timer.prev_;
  if (below != nullptr) heap_ = meld(heap_, below);
}

// Two heaps become one: the later root is made the first child of the earlier.
Timer* Timers::meld(Timer* a, Timer* b) {
  if (b->before(*a)) std::swap(a, b);
  b->prev_ = a;
  b->next_ = a->child_;
  if (b->next_ != nullptr) b->next_->prev_ = b;
  a->child_ = b;
  return a;
}

// One heap of a list of siblings: pairs from left to right, then the pairs from right to left.
Timer* Timers::meld_children(Timer* first) {
  Timer* pairs = nullptr;
  while (first != nullptr) {
    Timer* const a = first;
    Timer* const b = a->next_;
    first = b != nullptr ? b->next_ : nullptr;
    a->next_ = a->prev_ = nullptr;
    Timer* pair = a;
    if (b != nullptr) {
      b->next_ = b->prev_ = nullptr;
      pair = meld(a, b);
    }
    pair->next_ = pairs;
    pairs = pair;
  }
  Timer* root = pairs;
  pairs = root->next_;
  root->next_ = nullptr;
  while (pairs != nullptr) {
    Timer* const pair = pairs;
    pairs = pair->next_;
    pair->next_ = nullptr;
    root = meld(root, pair);
  }
  return root;
}

}  // namespace weir::internal
