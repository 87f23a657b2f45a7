#include "weir/runtime/io/io_state.h"

#include <algorithm>

#include "weir/runtime/io/receive_blocks.h"
#include "weir/runtime/loop.h"

namespace weir::internal {
namespace {

constexpr unsigned kBlocksMax = 32768;  // of a provided buffer ring
constexpr unsigned kBlockSizeMax = 1U << 30;

unsigned block_count(const LoopOptions& options) { return std::clamp(options.receive_buffer_count, 1U, kBlocksMax); }
unsigned block_size(const LoopOptions& options) { return std::clamp(options.receive_buffer_size, 1U, kBlockSizeMax); }

}  // namespace

IoState& IoState::of(Engine& engine) {
  if (engine.io_state() == nullptr) {
    auto* const state = new IoState(engine);
    engine.add_resource(*state);
    engine.set_io_state(state);
  }
  return *if_made(engine);
}

ReceiveBlocks* IoState::receive_blocks() {
  if (receives_plainly_) [[unlikely]] return nullptr;
  if (receive_blocks_ == nullptr) {
    const LoopOptions& options = LoopAccess::options(Loop::current());
    ReceiveBlocks* const made = ReceiveBlocks::create(engine_, block_count(options), block_size(options));
    receive_blocks_ = made;
    receives_plainly_ = made == nullptr;
  }
  return receive_blocks_;
}

BufferPool& IoState::receive_pool() {
  if (!receive_pool_.has_value()) {
    Loop& loop = Loop::current();
    const LoopOptions& options = LoopAccess::options(loop);
    receive_pool_ = BufferPool::create(
        loop, {.count = block_count(options), .size = block_size(options), .alignment = 64, .registered = false}).value();
  }
  return *receive_pool_;
}

void IoState::loop_ended() noexcept {
  engine_.remove_resource(*this);
  engine_.set_io_state(nullptr);
  delete this;
}

}  // namespace weir::internal
