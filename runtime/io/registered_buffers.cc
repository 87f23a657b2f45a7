#include "weir/runtime/io/registered_buffers.h"

#include <sys/uio.h>

#include <array>
#include <bit>

#include "weir/runtime/operation.h"

namespace weir::internal {

int RegisteredBuffers::add(void* memory, std::size_t size) noexcept {
  if (table_ == Table::kNotMade) {
    std::array<iovec, kSlots> empty{};
    table_ = ring_.register_resource(IORING_REGISTER_BUFFERS, empty.data(), kSlots) < 0 ? Table::kRefused : Table::kMade;
  }
  const int slot = std::countr_one(used_);
  if (table_ == Table::kRefused || slot == kSlots || !update(slot, memory, size)) return -1;
  used_ |= uint64_t{1} << slot;
  return slot;
}

void RegisteredBuffers::remove(int slot) noexcept {
  update(slot, nullptr, 0);
  used_ &= ~(uint64_t{1} << slot);
}

bool RegisteredBuffers::update(int slot, void* memory, std::size_t size) noexcept {
  iovec place{memory, size};
  uint64_t tag = 0;
  io_uring_rsrc_update2 change{};
  change.offset = static_cast<unsigned>(slot);
  change.data = reinterpret_cast<uint64_t>(&place);
  change.tags = reinterpret_cast<uint64_t>(&tag);
  change.nr = 1;
  return ring_.register_resource(IORING_REGISTER_BUFFERS_UPDATE, &change, sizeof change) >= 0;
}

}  // namespace weir::internal
