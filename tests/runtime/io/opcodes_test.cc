#include "weir/runtime/io/opcodes.h"

#include <gtest/gtest.h>

#include "weir/runtime/ring.h"

namespace weir::internal {
namespace {

// A number of ours is the one that the kernel knows, or a newer one: none of an operation that the header names.
TEST(Opcodes, AreNoneThatTheOldestHeaderNames) { EXPECT_GT(kOpFtruncate, IORING_OP_SEND_ZC); }

TEST(Opcodes, AreAskedForFirst) {
  auto ring = Ring::create({});
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_FALSE((*ring)->supports(255));
  if (!(*ring)->supports(kOpFtruncate)) GTEST_SKIP() << "this kernel has no IORING_OP_FTRUNCATE (6.9)";
}

}  // namespace
}  // namespace weir::internal
