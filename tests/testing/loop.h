// A loop for a test, and a way to let its tasks come to rest.
#pragma once

#include <memory>
#include <stdexcept>
#include <utility>

#include "weir/runtime/loop.h"
#include "weir/runtime/task.h"
#include "weir/runtime/time.h"

namespace weir::tests {

// Throws, with what the machine lacks, when there can be none.
inline std::unique_ptr<Loop> make_loop(const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  if (!loop.ok()) throw std::runtime_error(loop.status().ToString());
  return std::move(*loop);
}

// Long enough for every task that is ready to come to its next wait, and for those whom it wakes.
inline Task<> settle() {
  for (int i = 0; i < 5; ++i) co_await yield();
}

}  // namespace weir::tests
