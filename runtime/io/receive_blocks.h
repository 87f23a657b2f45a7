// The blocks behind receive(): a loop's provided buffer ring, from which the kernel picks one when bytes have come.
//
// A block is in the kernel's hands (available), or leased: a Buffer, until it comes home and is put at the ring's tail,
// which is a store to shared memory and no system call. When the kernel finds none, a request ends with ENOBUFS; its
// receiver then waits here, first in, first out, for a block that comes home. As many are let go on at a time as there are
// blocks, and one more whenever one of those did not need its block, so that nobody waits beside a free block, and
// nobody asks the kernel in vain.
//
// Made at a loop's first receive(). Loop's thread. Source of the protocol: io_uring_register(2), IORING_REGISTER_PBUF_RING.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "weir/runtime/intrusive_list.h"
#include "weir/runtime/io/block_store.h"
#include "weir/runtime/io/buffer.h"
#include "weir/runtime/io/receiver.h"

namespace weir::internal {

class ReceiveBlocks final : public BlockStore {
 public:
  static constexpr uint16_t kGroup = 0x7765;  // its name in the ring; that of nobody else, it is hoped

  // Null: the kernel has no such rings (before 5.19), or refuses one.
  static ReceiveBlocks* create(Engine& engine, uint32_t count, uint32_t size);

  // The kernel has put `size` bytes into a block.
  Buffer lease(uint32_t block, std::size_t size) noexcept;

  using BlockStore::engine;
  uint32_t available() const noexcept { return available_; }
  // Few are left: bytes that nobody waits for must not keep one.
  bool scarce() const noexcept { return available_ <= block_count() / 4; }

  // A receiver that the kernel had no block for: its go_on() is called when there may be one.
  void wait(Receiver& receiver) noexcept { waiting_.push_back(receiver); }
  void no_longer_wait(Receiver& receiver) noexcept { waiting_.remove(receiver); }
  // One that was told to go on has heard of the kernel since, or given up.
  void has_gone_on() noexcept {
    --going_on_;
    let_go_on();
  }
  // As many of those that wait as there are blocks.
  void let_go_on() noexcept;

 private:
  using Receivers = IntrusiveList<Receiver, &Receiver::previous_, &Receiver::following_>;

  struct FreeRing {
    void operator()(io_uring_buf_ring* ring) const noexcept;
  };

  ReceiveBlocks(Engine& engine, uint32_t count, uint32_t size, uint32_t entries);
  ~ReceiveBlocks() override = default;

  void provide(uint32_t block) noexcept;
  void came_home(uint32_t block) noexcept override;
  void closing() noexcept override;

  const uint16_t mask_;
  uint16_t tail_ = 0;
  uint32_t available_ = 0;
  uint32_t going_on_ = 0;
  Receivers waiting_;
  const std::unique_ptr<io_uring_buf_ring, FreeRing> ring_;
};

}  // namespace weir::internal
