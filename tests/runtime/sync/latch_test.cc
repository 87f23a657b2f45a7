#include "weir/runtime/sync/latch.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/loop.h"

namespace weir {
namespace {

using tests::make_loop;
using tests::settle;

Task<> wait_and_note(Latch& latch, std::vector<int>& order, int number) {
  co_await latch.wait();
  order.push_back(number);
}

Task<> opens_once() {
  Latch latch(3);
  std::vector<int> order;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(spawn(wait_and_note(latch, order, i)));
  latch.count_down();
  EXPECT_EQ(latch.pending(), 2u);
  co_await settle();
  EXPECT_TRUE(order.empty());
  latch.count_down(2);
  EXPECT_EQ(latch.pending(), 0u);
  co_await gather(std::move(tasks));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  co_await latch.wait();
}
TEST(LatchTest, OpensAtZeroAndStaysOpen) { make_loop()->run(opens_once()); }

Task<> nothing_to_count() {
  Latch latch(0);
  co_await latch.wait();
}
TEST(LatchTest, OfNothingIsOpen) { make_loop()->run(nothing_to_count()); }

TEST(LatchTest, CountingTooFarIsAMistake) {
  Latch latch(2);
  latch.count_down();
  EXPECT_THROW(latch.count_down(2), std::logic_error);
  EXPECT_EQ(latch.pending(), 1u);
  latch.count_down();
  EXPECT_THROW(latch.count_down(), std::logic_error);
  latch.count_down(0);
}

Task<> cancel_waiter() {
  Latch latch(1);
  std::vector<int> order;
  auto first = spawn(wait_and_note(latch, order, 1));
  auto second = spawn(wait_and_note(latch, order, 2));
  co_await settle();
  first.cancel();
  EXPECT_THROW(co_await first, Cancelled);
  latch.count_down();
  co_await second;
  EXPECT_EQ(order, std::vector<int>{2});
}
TEST(LatchTest, ACancelledWaiterLeaves) { make_loop()->run(cancel_waiter()); }

Task<> count_down_later(Latch& latch) {
  co_await yield();
  latch.count_down();
}
Task<> many() {
  constexpr int kTasks = 1000;
  Latch latch(kTasks);
  for (int i = 0; i < kTasks; ++i) (void)spawn(count_down_later(latch));
  co_await latch.wait();
  EXPECT_EQ(latch.pending(), 0u);
}
TEST(LatchTest, AThousandTasks) { make_loop()->run(many()); }

}  // namespace
}  // namespace weir
