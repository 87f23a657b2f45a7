// The storage of a BoundedRing: a chain of blocks of slots that one thread fills and another empties.
//
//   filled --> [ . . x x ] -> [ x x x x ] -> [ x x . . ]
//                  ^ reader                       ^ producer
//
// Memory follows what is really queued, whatever the limit: a stream that was never started owns nothing, one of limit
// 0 grows. The reader gives an emptied block back to the producer, who fills it again: the steady state allocates
// nothing. Blocks are not synchronized by themselves: an item is handed over by the ring, which tells the reader how
// many there are; only the pile of emptied blocks is shared.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace weir::internal {

template <class T, class Threads>
class RingBlocks {
 public:
  // As many items a block as fit into about four pages.
  static constexpr size_t kItemsPerBlock = std::clamp<size_t>(16384 / sizeof(T), 1, 256);

  // Beyond `spares_max` emptied blocks the reader frees them.
  RingBlocks(size_t items_per_block, size_t spares_max) : items_per_block_(items_per_block), spares_max_(spares_max) {}
  RingBlocks(const RingBlocks&) = delete;
  RingBlocks& operator=(const RingBlocks&) = delete;

  // Neither side uses it any more; the items are destroyed already.
  ~RingBlocks() {
    Block* const chain = reader_.block ? reader_.block : first_;
    free_chain(chain);
    free_chain(producer_.spares);
    free_chain(emptied_.load(std::memory_order_acquire));  // pairs with give_back()'s push
  }

  // The producer. Makes an item in the next slot; if that throws, nothing has changed.
  template <class... Args>
  void put(Args&&... args) {
    if (producer_.block == nullptr || producer_.index == items_per_block_) [[unlikely]] append_block();
    std::construct_at(producer_.block->slot(producer_.index), std::forward<Args>(args)...);
    ++producer_.index;
  }

  // The reader, who knows that there is an item. front() stays until pop(), which destroys it.
  T& front() {
    if (reader_.block == nullptr || reader_.index == items_per_block_) [[unlikely]] go_to_next_block();
    return *reader_.block->slot(reader_.index);
  }
  void pop(size_t count = 1) {
    std::destroy_n(reader_.block->slot(reader_.index), count);
    reader_.index += count;
  }
  // How many slots lie behind front() in one piece of memory, its own included. After front().
  size_t in_a_row() const { return items_per_block_ - reader_.index; }

 private:
  [[gnu::noinline]] void go_to_next_block() {
    if (reader_.block == nullptr) {
      reader_.block = first_;
      return;
    }
    Block* const emptied = std::exchange(reader_.block, reader_.block->next);
    reader_.index = 0;
    give_back(emptied);
  }

  struct Block {
    Block* next = nullptr;  // in the chain, or in a pile of emptied blocks

    T* slot(size_t index) {
      return std::launder(reinterpret_cast<T*>(reinterpret_cast<std::byte*>(this) + kSlotsOffset)) + index;
    }
  };
  static constexpr size_t kAlignment = std::max<size_t>(64, alignof(T));
  static constexpr size_t kSlotsOffset = (sizeof(Block) + alignof(T) - 1) / alignof(T) * alignof(T);

  [[gnu::noinline]] void append_block() {
    if (producer_.spares == nullptr) {
      // Pairs with give_back()'s push: what the reader did with the blocks is done.
      producer_.spares = emptied_.exchange(nullptr, std::memory_order_acquire);
      size_t count = 0;
      for (Block* block = producer_.spares; block != nullptr; block = block->next) ++count;
      emptied_count_.fetch_sub(count, std::memory_order_relaxed);  // only a limit: it orders nothing
    }
    Block* block = producer_.spares;
    if (block != nullptr) {
      producer_.spares = std::exchange(block->next, nullptr);
    } else {
      void* const memory =
          ::operator new(kSlotsOffset + items_per_block_ * sizeof(T), std::align_val_t(kAlignment));
      block = ::new (memory) Block;
    }
    // The reader follows either pointer only when it knows of an item in the new block.
    (producer_.block != nullptr ? producer_.block->next : first_) = block;
    producer_.block = block;
    producer_.index = 0;
  }

  void give_back(Block* block) {
    if (emptied_count_.load(std::memory_order_relaxed) >= spares_max_) {  // only a limit: it orders nothing
      free_block(block);
      return;
    }
    emptied_count_.fetch_add(1, std::memory_order_relaxed);
    // One pusher, and a taker who takes all: no ABA. The push pairs with append_block()'s exchange.
    block->next = emptied_.load(std::memory_order_relaxed);
    while (!emptied_.compare_exchange_weak(block->next, block, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }

  static void free_block(Block* block) {
    std::destroy_at(block);
    ::operator delete(static_cast<void*>(block), std::align_val_t(kAlignment));
  }
  static void free_chain(Block* block) {
    while (block != nullptr) free_block(std::exchange(block, block->next));
  }

  const size_t items_per_block_;
  const size_t spares_max_;

  struct alignas(64) Producer {
    Block* block = nullptr;
    size_t index = 0;
    Block* spares = nullptr;
  } producer_;
  Block* first_ = nullptr;  // written with the first item, read with the first item

  struct alignas(64) Reader {
    Block* block = nullptr;
    size_t index = 0;
  } reader_;

  alignas(64) typename Threads::template Atomic<Block*> emptied_{nullptr};
  std::atomic<size_t> emptied_count_{0};
};

}  // namespace weir::internal
