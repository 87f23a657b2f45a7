#include "weir/runtime/io/receive_blocks.h"

#include <bit>
#include <cstring>
#include <new>

#include "weir/runtime/io/io_state.h"

namespace weir::internal {
namespace {

constexpr auto kPage = std::align_val_t(4096);  // what the kernel demands of a ring

io_uring_buf_ring* make_ring(uint32_t entries) {
  const std::size_t size = entries * sizeof(io_uring_buf);
  return static_cast<io_uring_buf_ring*>(std::memset(::operator new(size, kPage), 0, size));
}

}  // namespace

void ReceiveBlocks::FreeRing::operator()(io_uring_buf_ring* ring) const noexcept { ::operator delete(ring, kPage); }

ReceiveBlocks::ReceiveBlocks(Engine& engine, uint32_t count, uint32_t size, uint32_t entries)
    : BlockStore(engine, count, size, 64), mask_(static_cast<uint16_t>(entries - 1)), ring_(make_ring(entries)) {}

ReceiveBlocks* ReceiveBlocks::create(Engine& engine, uint32_t count, uint32_t size) {
  const uint32_t entries = std::bit_ceil(count);
  auto* const blocks = new ReceiveBlocks(engine, count, size, entries);
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<uint64_t>(blocks->ring_.get());
  request.ring_entries = entries;
  request.bgid = kGroup;
  if (engine.ring().register_resource(IORING_REGISTER_PBUF_RING, &request, 1) < 0) {
    blocks->close();
    return nullptr;
  }
  for (uint32_t block = 0; block < count; ++block) blocks->provide(block);
  return blocks;
}

Buffer ReceiveBlocks::lease(uint32_t block, std::size_t size) noexcept {
  --available_;
  BlockStore::lease();
  return BufferAccess::make(*this, block, data(block), size, block_size());
}

void ReceiveBlocks::provide(uint32_t block) noexcept {
  io_uring_buf& entry = ring_->bufs[tail_++ & mask_];
  entry.addr = reinterpret_cast<uint64_t>(data(block));  // one by one: the tail lies in what entry 0 does not use
  entry.len = block_size();
  entry.bid = static_cast<uint16_t>(block);
  __atomic_store_n(&ring_->tail, tail_, __ATOMIC_RELEASE);  // pairs with the kernel's acquire: the entry is complete
  ++available_;
}

void ReceiveBlocks::came_home(uint32_t block) noexcept {
  provide(block);
  if (!waiting_.empty()) let_go_on();
}

void ReceiveBlocks::let_go_on() noexcept {
  while (available_ > going_on_) {
    Receiver* const receiver = waiting_.pop_front();
    if (receiver == nullptr) return;
    ++going_on_;
    receiver->go_on();
  }
}

void ReceiveBlocks::closing() noexcept {
  io_uring_buf_reg request{};
  request.bgid = kGroup;
  engine().ring().register_resource(IORING_UNREGISTER_PBUF_RING, &request, 1);
  if (IoState* const state = IoState::if_made(engine())) state->forget_receive_blocks();
}

}  // namespace weir::internal
