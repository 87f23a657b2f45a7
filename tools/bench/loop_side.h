// A side that runs on a loop of weir's.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "weir/runtime/loop.h"
#include "weir/runtime/task.h"
#include "weir/tools/bench/side.h"

namespace weir::bench {

inline std::unique_ptr<Loop> make_loop(const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  if (!loop.ok()) throw std::runtime_error(std::string(loop.status().message()));
  return *std::move(loop);
}

// System calls that a loop has made, or that others have made to wake it.
inline uint64_t system_calls(const Loop& loop) {
  const LoopStats stats = loop.stats();
  return stats.enters + stats.wakeups_written;
}

// Runs work(count), a coroutine, on a loop of its own.
template <class Work>
MakeSide on_loop(Work work) {
  class LoopSide final : public Side {
   public:
    explicit LoopSide(Work on_the_loop) : work_(std::move(on_the_loop)) {}
    Measured run(uint64_t count) override {
      const uint64_t before = system_calls(*loop_);
      Measured measured = time_of(count, [&] { loop_->run(work_(count)); });
      measured.calls = static_cast<double>(system_calls(*loop_) - before) / static_cast<double>(count);
      return measured;
    }

   private:
    Work work_;
    std::unique_ptr<Loop> loop_ = make_loop();
  };
  return [work = std::move(work)] { return std::make_unique<LoopSide>(work); };
}

}  // namespace weir::bench
