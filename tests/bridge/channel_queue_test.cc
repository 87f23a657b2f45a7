#include "weir/bridge/channel_queue.h"

#include <gtest/gtest.h>

namespace weir::internal {
namespace {

using Queue = ChannelQueue<int>;

// The reader finds the queue empty, then the last item and the close come, then it asks for a notice.
TEST(ChannelQueue, N01_TheLastItemIsNotLostAtTheClose) {
  Queue queue;
  bool ended = true;
  EXPECT_EQ(queue.take(ended), nullptr);
  EXPECT_FALSE(ended);
  ChannelNode<int> last(9);
  EXPECT_EQ(queue.put(last), Queue::Put::kQuietly);
  EXPECT_FALSE(queue.close());
  EXPECT_FALSE(queue.wait());
  EXPECT_EQ(queue.take(ended), &last);
  EXPECT_FALSE(ended);
  EXPECT_EQ(queue.take(ended), nullptr);
  EXPECT_TRUE(ended);
}

TEST(ChannelQueue, N17_NothingEntersAfterTheClose) {
  Queue queue;
  EXPECT_FALSE(queue.close());
  ChannelNode<int> refused(10);
  EXPECT_EQ(queue.put(refused), Queue::Put::kClosed);
  bool ended = false;
  EXPECT_EQ(queue.take(ended), nullptr);
  EXPECT_TRUE(ended);
}

TEST(ChannelQueue, AWaitIsAnsweredOnce) {
  Queue queue;
  ASSERT_TRUE(queue.wait());
  ChannelNode<int> first(1), second(2);
  EXPECT_EQ(queue.put(first), Queue::Put::kOwesNotice);
  EXPECT_EQ(queue.put(second), Queue::Put::kQuietly);
  EXPECT_FALSE(queue.cancel_wait());  // too late: the notice is on its way
  bool ended = true;
  ChannelNode<int>* const oldest = queue.take(ended);
  ASSERT_EQ(oldest, &first);
  EXPECT_EQ(oldest->next, &second);
  ASSERT_TRUE(queue.wait());
  EXPECT_TRUE(queue.cancel_wait());
  ASSERT_TRUE(queue.wait());
  EXPECT_TRUE(queue.close());
  EXPECT_FALSE(queue.close());
}

}  // namespace
}  // namespace weir::internal
