#include "weir/bridge/ring_blocks.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <new>

#include "weir/bridge/system_threads.h"
#include "weir/runtime/frame.h"

namespace {
int blocks_alive = 0;
}

// Counts blocks, which are all aligned. Under a sanitizer its own operators stay, which find a leak themselves.
#if WEIR_RECYCLE_FRAMES
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto to = static_cast<std::size_t>(alignment);
  void* const block = std::aligned_alloc(to, (size + to - 1) / to * to);
  if (block == nullptr) throw std::bad_alloc();
  ++blocks_alive;
  return block;
}
[[gnu::noinline]] void operator delete(void* block, std::align_val_t) noexcept {
  if (block != nullptr) --blocks_alive;
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, std::size_t, std::align_val_t alignment) noexcept {
  ::operator delete(block, alignment);
}
#endif

namespace weir::internal {
namespace {

constexpr bool kCounts = WEIR_RECYCLE_FRAMES != 0;
using Blocks = RingBlocks<int, SystemThreads>;

void fill(Blocks& blocks, int count) {
  for (int i = 0; i < count; ++i) blocks.put(i);
}
void empty(Blocks& blocks, int count) {
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(blocks.front(), i);
    blocks.pop();
  }
}

TEST(RingBlocks, AllAreFreedWithIt) {
  {
    Blocks never_read(1, 8);
    fill(never_read, 3);
    Blocks emptied(1, 8);
    fill(emptied, 3);
    empty(emptied, 3);
    Blocks taken_back(1, 8);  // by the producer, who has more than it needs
    fill(taken_back, 4);
    empty(taken_back, 4);
    taken_back.put(0);
    taken_back.front();
  }
  EXPECT_EQ(blocks_alive, 0);
}

TEST(RingBlocks, AsManyAreKeptAsItMayAlsoTheSecondTime) {
  {
    Blocks blocks(1, 2);
    for (int round = 0; round < 3; ++round) {
      fill(blocks, 10);
      empty(blocks, 10);
      EXPECT_EQ(blocks_alive, kCounts ? 1 + 2 : 0);  // where the two sides stand, and the spares
    }
  }
  EXPECT_EQ(blocks_alive, 0);
}

TEST(RingBlocks, KeepsTheOrderAcrossBlocks) {
  RingBlocks<int, SystemThreads> blocks(3, 8);
  for (int i = 0; i < 20; ++i) blocks.put(i);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(blocks.front(), i);
    blocks.pop();
  }
}

TEST(RingBlocks, EmptiedBlocksAreFilledAgain) {
  RingBlocks<int, SystemThreads> blocks(1, 8);
  blocks.put(0);
  const int* const first = &blocks.front();
  blocks.pop();
  blocks.put(1);
  blocks.front();  // leaves the first block
  blocks.pop();
  blocks.put(2);
  EXPECT_EQ(&blocks.front(), first);
  blocks.pop();
}

TEST(RingBlocks, BeyondItsSparesItFreesThem) {
  RingBlocks<std::unique_ptr<int>, SystemThreads> blocks(1, 0);
  for (int i = 0; i < 100; ++i) blocks.put(std::make_unique<int>(i));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(*blocks.front(), i);
    blocks.pop();
  }
}

TEST(RingBlocks, ItemsAreLargeOrSmall) {
  struct Page {
    char bytes[4096];
  };
  struct Book {
    char bytes[1 << 20];
  };
  EXPECT_EQ((RingBlocks<char, SystemThreads>::kItemsPerBlock), 256u);
  EXPECT_EQ((RingBlocks<Page, SystemThreads>::kItemsPerBlock), 4u);
  EXPECT_EQ((RingBlocks<Book, SystemThreads>::kItemsPerBlock), 1u);
}

}  // namespace
}  // namespace weir::internal
