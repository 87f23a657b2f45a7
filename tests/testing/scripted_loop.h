// ScriptedLoop: a Loop over a ScriptedRing and a FakeKernel, and operations to play with.
//
//   ScriptedLoop scripted({.sq_entries = 4});
//   scripted.ring.by_hand = {IORING_OP_READV};
//   scripted->run(task());
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "weir/runtime/engine.h"
#include "weir/runtime/loop.h"
#include "weir/runtime/operation.h"
#include "weir/tests/testing/fake_kernel.h"
#include "weir/tests/testing/scripted_ring.h"

namespace weir::testing {

class ScriptedLoop {
 public:
  explicit ScriptedLoop(const ScriptedRing::Options& ring_options = {}, const LoopOptions& options = {})
      : kernel_(std::make_unique<FakeKernel>()),
        script_(std::make_unique<ScriptedRing>(*kernel_, ring_options)),
        kernel(*kernel_),
        ring(*script_) {
    auto made = internal::LoopAccess::create(std::move(script_), kernel, options);
    EXPECT_TRUE(made.ok()) << made.status();
    loop_ = std::move(*made);
  }

  // The script ends with the test: what it captured may be gone before the loop is.
  ~ScriptedLoop() {
    if (loop_ == nullptr) return;
    ring.on_enter = nullptr;
    ring.on_register = nullptr;
    ring.by_hand.clear();
  }
  ScriptedLoop(const ScriptedLoop&) = delete;
  ScriptedLoop& operator=(const ScriptedLoop&) = delete;

  Loop* operator->() { return loop_.get(); }
  Loop& operator*() { return *loop_; }
  internal::Engine& engine() { return internal::LoopAccess::engine(*loop_); }
  void destroy_loop() { loop_.reset(); }  // with the script as it is

 private:
  const std::unique_ptr<FakeKernel> kernel_;
  std::unique_ptr<ScriptedRing> script_;  // until the loop has it

 public:
  FakeKernel& kernel;
  ScriptedRing& ring;  // until the loop is destroyed

 private:
  std::unique_ptr<Loop> loop_;
};

// The res of an operation of that opcode; `number` is its fd. A device's is admitted against the completion queue.
inline Task<int> operate(int opcode, int number, bool waits_for_peer = true) {
  const auto fill = [opcode, number](internal::Operation&, io_uring_sqe& entry) noexcept {
    entry.opcode = static_cast<uint8_t>(opcode);
    entry.fd = number;
    return true;
  };
  internal::OperationCall call(waits_for_peer, nullptr, fill);
  co_return co_await std::move(call);
}

}  // namespace weir::testing
