// A number that one thread counts and any thread reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::internal {

// One writer: an addition is a load and a store, no locked instruction. Relaxed: a reader sees some recent value, and
// concludes nothing from it about other memory.
class Counter {
 public:
  void add(uint64_t count = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  void subtract(uint64_t count = 1) noexcept { add(-count); }
  void set(uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace weir::internal
