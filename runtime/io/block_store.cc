#include "weir/runtime/io/block_store.h"

#include <algorithm>
#include <new>
#include <utility>

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
  bool retained = false;                // for the store's way through the inbox
  uint32_t word = word_.load(std::memory_order_acquire);  // pairs with close(): this lease's reference is counted
  do {
    if (word == kClosed) return release(retained ? 2 : 1);
    if (word == kEmpty && !std::exchange(retained, true)) retain();
    links_[block] = word;
    // release: pairs with the acquire of deliver() and close(): the link, and the last use of the block, come before.
    // acquire: pairs with the release of deliver(), which leaves the inbox's node to the next one; and as the load above.
  } while (!word_.compare_exchange_weak(word, block, std::memory_order_acq_rel, std::memory_order_acquire));
  if (word != kEmpty) {
    if (retained) release();
    return;
  }
  if (!control->push(*this)) release();  // the loop is at its end, where it closes its stores
}

// The store has come through the inbox.
void BlockStore::deliver() noexcept {
  if (!closed_) {
    // acquire: pairs with the release of a block that is given back; release: with its acquire, the node is free again.
    uint32_t block = word_.exchange(kEmpty, std::memory_order_acq_rel);
    while (block != kEmpty) {
      const uint32_t older = links_[block];
      leased_.subtract();
      returned_elsewhere_.add();
      came_home(block);
      block = older;
    }
  }
  release();
}

void BlockStore::close() noexcept {
  if (closed_) return;
  closing();
  closed_ = true;
  engine_.remove_resource(*this);
  retain(static_cast<uint32_t>(leased_.read()));  // one for each lease
  // release: pairs with the acquire of kClosed, the references are counted; acquire: as in deliver().
  uint32_t block = word_.exchange(kClosed, std::memory_order_acq_rel);
  uint32_t home = 1;  // the loop's own reference
  for (; block != kEmpty; block = links_[block]) {
    leased_.subtract();
    ++home;
  }
  release(home);
}

}  // namespace weir::internal
