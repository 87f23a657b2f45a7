// What io/ keeps for a loop: made at first use, gone with the loop. Loop's thread, or before the loop's first run.
#pragma once

#include <optional>

#include "weir/runtime/engine.h"
#include "weir/runtime/io/buffer.h"
#include "weir/runtime/io/registered_buffers.h"

namespace weir::internal {

class ReceiveBlocks;

class IoState final : public LoopResource {
 public:
  static IoState& of(Engine& engine);
  // Null: not made yet, or gone.
  static IoState* if_made(const Engine& engine) noexcept { return static_cast<IoState*>(engine.io_state()); }

  RegisteredBuffers& registered() noexcept { return registered_; }

  // The loop's provided buffer ring; null where the kernel has none, or no multishot receive. In a task of the loop.
  ReceiveBlocks* receive_blocks();
  // The kernel has refused a multishot receive (before 6.0).
  void no_multishot_receive() noexcept { receives_plainly_ = true; }
  // What receive() uses in its place. In a task of the loop.
  BufferPool& receive_pool();
  // The blocks go, with the loop.
  void forget_receive_blocks() noexcept {
    receive_blocks_ = nullptr;
    receives_plainly_ = true;
  }

 private:
  explicit IoState(Engine& engine) noexcept : engine_(engine), registered_(engine.ring()) {}
  ~IoState() = default;
  void loop_ended() noexcept override;

  Engine& engine_;
  RegisteredBuffers registered_;
  ReceiveBlocks* receive_blocks_ = nullptr;  // the loop's, as all stores of blocks are
  std::optional<BufferPool> receive_pool_;
  bool receives_plainly_ = false;
};

}  // namespace weir::internal
