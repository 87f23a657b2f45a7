// A BlockStore: equal blocks of memory of one loop that are lent out, and come home from any thread.
//
// The base of a BufferPool's blocks and of a loop's provided buffers. A lease is a Buffer, which gives its block back when
// it is dropped:
//
//   - on the loop's own thread the block is home at once (came_home), without an atomic operation;
//   - elsewhere it is given to a stack (block_stack.h), and whoever gives the first block sends the store itself through
//     the loop's inbox, so that one wake-up fetches all of them.
//
// While the store is open the loop holds it, and the leases count nothing. Closing (the pool was dropped, or the loop has
// ended) gives each lease a reference of its own before the stack is closed: a thread that finds it closed gives that
// reference back, and the last one frees the memory. So leases are valid memory for as long as they live, and nothing
// is left behind.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "weir/runtime/counter.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/io/block_stack.h"
#include "weir/runtime/loop_handle.h"

namespace weir::internal {

// Where a Buffer's block belongs.
class BlockHome {
 public:
  // The lease has ended. Any thread.
  virtual void give_back(uint32_t block) noexcept = 0;
  // Where this memory stands in the table of registered buffers of that loop; -1: it does not.
  virtual int registered_slot(const LoopControl*) const noexcept { return -1; }

 protected:
  ~BlockHome() = default;
};

class BlockStore : public BlockHome, public LoopResource, private InboxNode {
 public:
  static constexpr uint32_t kNone = BlockStack::kEmpty;

  void give_back(uint32_t block) noexcept final;

  // No lease begins any more; those that are out stay valid. On the loop's thread, or once it has ended.
  void close() noexcept;

  void retain(uint32_t count = 1) noexcept { references_.fetch_add(count, std::memory_order_relaxed); }  // the caller holds one
  void release(uint32_t count = 1) noexcept {
    // acq_rel, with itself: whoever frees the memory does so after all others have used it.
    if (references_.fetch_sub(count, std::memory_order_acq_rel) == count) delete this;
  }

  std::byte* data(uint32_t block) const noexcept { return memory_.get() + std::size_t{block} * stride_; }
  uint32_t block_count() const noexcept { return count_; }
  uint32_t block_size() const noexcept { return size_; }
  std::size_t memory_size() const noexcept { return std::size_t{count_} * stride_; }
  LoopControl* control() const noexcept { return control_.get(); }
  // Blocks that are out, or on their way home. Any thread.
  uint64_t leased() const noexcept { return leased_.read(); }
  // Blocks that came home from other threads. Any thread.
  uint64_t returned_elsewhere() const noexcept { return returned_elsewhere_.read(); }

 protected:
  // Open, with one reference: the loop's. `size` and `alignment` are not 0, the latter is a power of two.
  BlockStore(Engine& engine, uint32_t count, uint32_t size, std::size_t alignment);
  virtual ~BlockStore();

  // A block is free again, or the store is about to be closed. On the loop's thread.
  virtual void came_home(uint32_t block) noexcept = 0;
  virtual void closing() noexcept = 0;

  void lease() noexcept { leased_.add(); }
  // On the loop's own thread, and open.
  bool here() const noexcept { return control_->on_own_thread() && !closed_; }
  Engine& engine() const noexcept { return engine_; }  // while it is open
  // For blocks that are home, a free list's; for those in the stack, the stack's.
  uint32_t& link(uint32_t block) noexcept { return links_[block]; }

 private:
  struct FreeMemory {
    std::size_t alignment;
    void operator()(std::byte* memory) const noexcept { ::operator delete(memory, std::align_val_t(alignment)); }
  };

  void give_back_from_elsewhere(uint32_t block) noexcept;
  void deliver() noexcept final;
  void loop_ended() noexcept final { close(); }

  Engine& engine_;
  const ControlRef control_;
  const uint32_t count_;
  const uint32_t size_;
  const std::size_t stride_;  // bytes from one block to the next
  const std::unique_ptr<std::byte, FreeMemory> memory_;
  const std::unique_ptr<uint32_t[]> links_;
  Counter leased_;
  Counter returned_elsewhere_;
  bool closed_ = false;
  BlockStack way_home_;
  std::atomic<uint32_t> references_{1};
};

}  // namespace weir::internal
