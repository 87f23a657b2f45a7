#include "weir/runtime/io/block_store.h"

#include <algorithm>
#include <new>

namespace weir::internal {
namespace {

// A page at least: so that the blocks may be registered, and O_DIRECT may use them.
constexpr std::size_t kMemoryAlignment = 4096;

std::size_t rounded_up(std::size_t size, std::size_t alignment) noexcept { return (size + alignment - 1) & ~(alignment - 1); }

}  // namespace

BlockStore::BlockStore(Engine& engine, uint32_t count, uint32_t size, std::size_t alignment)
    : engine_(engine),
      control_(ControlRef::share(&engine.control())),
      count_(count),
      size_(size),
      stride_(rounded_up(size, alignment)),
      memory_(static_cast<std::byte*>(::operator new(memory_size(), std::align_val_t(std::max(alignment, kMemoryAlignment)))),
              FreeMemory{std::max(alignment, kMemoryAlignment)}),
      links_(std::make_unique<uint32_t[]>(count)) {
  engine.add_resource(*this);
}

BlockStore::~BlockStore() {
  if (!closed_) engine_.remove_resource(*this);  // a constructor has thrown
}

void BlockStore::give_back(uint32_t block) noexcept {
  if (!here()) return give_back_from_elsewhere(block);
  leased_.subtract();
  came_home(block);
}

void BlockStore::give_back_from_elsewhere(uint32_t block) noexcept {
  const ControlRef control = control_;  // the store may be gone within push()
  bool retained = false;
  const auto retain_for_inbox = [&] {
    retain();
    retained = true;
  };
  const auto link_to = [this](uint32_t newer, uint32_t older) { links_[newer] = older; };
  const BlockStack::Given given = way_home_.give(block, link_to, retain_for_inbox);
  if (given == BlockStack::Given::kClosed) return release(retained ? 2 : 1);
  // Refused: the loop is at its end, where it closes its stores.
  const bool sent = given == BlockStack::Given::kFirst && control->push(*this);
  if (retained && !sent) release();
}

// The store has come through the inbox.
void BlockStore::deliver() noexcept {
  for (uint32_t block = closed_ ? kNone : way_home_.take(); block != kNone;) {
    const uint32_t older = links_[block];
    leased_.subtract();
    returned_elsewhere_.add();
    came_home(block);
    block = older;
  }
  release();
}

void BlockStore::close() noexcept {
  if (closed_) return;
  closing();
  closed_ = true;
  engine_.remove_resource(*this);
  retain(static_cast<uint32_t>(leased_.read()));  // one for each lease
  uint32_t home = 1;                              // the loop's own reference
  for (uint32_t block = way_home_.close(); block != kNone; block = links_[block]) {
    leased_.subtract();
    ++home;
  }
  release(home);
}

}  // namespace weir::internal
