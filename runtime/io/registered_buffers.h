// The memory that is registered with a loop's ring: pinned and mapped once, not at each request (READ_FIXED, WRITE_FIXED).
//
// A table of kSlots places, one for each BufferPool, since all blocks of a pool are one piece of memory. It is made with
// the first. Loop's thread, or before the loop's first run.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weir/runtime/ring.h"

namespace weir::internal {

class RegisteredBuffers {
 public:
  static constexpr int kSlots = 64;

  explicit RegisteredBuffers(Ring& ring) noexcept : ring_(ring) {}

  // A slot; or -1: no place is left, or the kernel refuses (the memlock limit, more than 1 GiB, an old kernel).
  int add(void* memory, std::size_t size) noexcept;
  // Requests in flight keep the memory pinned until they have ended.
  void remove(int slot) noexcept;

 private:
  bool update(int slot, void* memory, std::size_t size) noexcept;

  enum class Table : uint8_t { kNotMade, kMade, kRefused };

  Ring& ring_;
  uint64_t used_ = 0;  // a bit for each slot
  Table table_ = Table::kNotMade;
};

}  // namespace weir::internal
