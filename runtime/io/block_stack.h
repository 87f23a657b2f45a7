// The way home of blocks from any thread: a stack that is one atomic word, and which can be closed.
//
//   kEmpty          nothing is on its way
//   a block         the newest of a list, linked through an array of the owner's
//   kClosed         the owner is gone; nothing enters any more
//
// Whoever gives the first block of a list tells the owner (kFirst), and only he: between kEmpty and the owner's take() all
// others find a block there. What he tells him with may be one object, used again and again: take() hands it on to the
// next first one. Source of the idea that a list and its state are one word: libunifex, atomic_intrusive_queue.hpp.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::internal {

// `Atomic` is std::atomic, or a test's that explores interleavings.
template <template <class> class Atomic>
class BasicBlockStack {
 public:
  static constexpr uint32_t kEmpty = UINT32_MAX;       // also the end of a list
  static constexpr uint32_t kClosed = UINT32_MAX - 1;

  enum class Given { kFirst, kQuietly, kClosed };

  // Any thread. Links `block` to the list and makes it the newest. `before_first` is called, once, before it could become
  // the first one. kClosed: nothing was given; what the owner did before close() is seen.
  template <class Link, class BeforeFirst>
  Given give(uint32_t block, const Link& link, const BeforeFirst& before_first) noexcept {
    bool told = false;
    uint32_t word = word_.load(std::memory_order_acquire);  // pairs with the release of close(); else a guess
    do {
      if (word == kClosed) return Given::kClosed;
      if (word == kEmpty && !told) {
        told = true;
        before_first();
      }
      link(block, word);
      // release: pairs with the acquire of take() and close(): the link, and the last use of the block, come before.
      // acquire: pairs with the release of take(), the owner has done with what it was told with; and as the load above.
    } while (!word_.compare_exchange_weak(word, block, std::memory_order_acq_rel, std::memory_order_acquire));
    return word == kEmpty ? Given::kFirst : Given::kQuietly;
  }

  // The owner, told of a first one: the newest of the list.
  uint32_t take() noexcept {
    return word_.exchange(kEmpty, std::memory_order_acq_rel);  // acquire, release: pair with those of give()
  }

  // The owner, at its end: the newest of the list, or kEmpty. Once.
  uint32_t close() noexcept {
    return word_.exchange(kClosed, std::memory_order_acq_rel);  // acquire, release: pair with those of give()
  }

 private:
  Atomic<uint32_t> word_{kEmpty};
};

using BlockStack = BasicBlockStack<std::atomic>;

}  // namespace weir::internal
