#include "weir/bridge/ring_blocks.h"

#include <gtest/gtest.h>

#include <memory>

#include "weir/bridge/system_threads.h"

namespace weir::internal {
namespace {

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
