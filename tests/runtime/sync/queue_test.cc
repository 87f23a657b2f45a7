#include "weir/runtime/sync/queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/loop.h"

namespace weir {
namespace {

using tests::make_loop;
using tests::settle;

Task<> push_range(Queue<int>& queue, int first, int last) {
  for (int i = first; i < last; ++i) co_await queue.push(i);
}

Task<std::vector<int>> pop_all(Queue<int>& queue) {
  std::vector<int> items;
  while (std::optional<int> item = co_await queue.pop()) items.push_back(*item);
  co_return items;
}

Task<> unbounded() {
  Queue<int> queue;
  co_await push_range(queue, 0, 1000);
  EXPECT_EQ(queue.size(), 1000u);
  queue.close();
  EXPECT_TRUE(queue.closed());
  const std::vector<int> items = co_await pop_all(queue);
  EXPECT_EQ(items.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(items[i], i);
  EXPECT_EQ(co_await queue.pop(), std::nullopt);
}
TEST(QueueTest, FirstInFirstOutUntilTheEnd) { make_loop()->run(unbounded()); }

Task<> bounded() {
  Queue<int> queue(2);
  auto producer = spawn(push_range(queue, 0, 10));
  co_await settle();
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_FALSE(producer.done());
  for (int i = 0; i < 10; ++i) {
    const std::optional<int> item = co_await queue.pop();
    EXPECT_EQ(item, i);
    EXPECT_LE(queue.size(), 2u);
  }
  co_await producer;
  EXPECT_EQ(queue.size(), 0u);
}
TEST(QueueTest, PushWaitsWhileFull) { make_loop()->run(bounded()); }

Task<> pop_and_note(Queue<int>& queue, std::vector<int>& order, int number) {
  const std::optional<int> item = co_await queue.pop();
  order.push_back(number);
  order.push_back(item.value_or(-1));
}

Task<> poppers_in_order() {
  Queue<int> queue(1);
  std::vector<int> order;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(spawn(pop_and_note(queue, order, i)));
  co_await settle();
  co_await push_range(queue, 10, 12);
  EXPECT_EQ(queue.size(), 0u);  // in the hands of those who waited
  queue.close();
  co_await gather(std::move(tasks));
  EXPECT_EQ(order, (std::vector<int>{0, 10, 1, 11, 2, -1}));
}
TEST(QueueTest, PopsAreServedInOrder) { make_loop()->run(poppers_in_order()); }

Task<> pushers_in_order() {
  Queue<int> queue(1);
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(spawn(push_range(queue, i, i + 1)));
  co_await settle();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(co_await queue.pop(), i);
  co_await gather(std::move(tasks));
}
TEST(QueueTest, PushesAreServedInOrder) { make_loop()->run(pushers_in_order()); }

Task<> tries() {
  Queue<std::string> queue(1);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  std::string item = "a";
  EXPECT_TRUE(queue.try_push(item));
  item = "b";
  EXPECT_FALSE(queue.try_push(item));
  EXPECT_EQ(item, "b");
  EXPECT_EQ(queue.try_pop(), "a");
  EXPECT_TRUE(queue.try_push("c"));
  queue.close();
  EXPECT_THROW((void)queue.try_push("d"), QueueClosed);
  EXPECT_EQ(queue.try_pop(), "c");
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  co_return;
}
TEST(QueueTest, TryPushAndTryPop) { make_loop()->run(tries()); }

Task<> close_wakes() {
  Queue<int> queue(1);
  auto producer = spawn(push_range(queue, 0, 2));
  co_await settle();
  queue.close();
  queue.close();
  EXPECT_THROW(co_await producer, QueueClosed);
  EXPECT_THROW(co_await push_range(queue, 7, 8), QueueClosed);
  const std::vector<int> items = co_await pop_all(queue);
  EXPECT_EQ(items, std::vector<int>{0});  // what waited outside was not pushed
}
TEST(QueueTest, ClosingEndsPushesAndKeepsWhatIsInside) { make_loop()->run(close_wakes()); }

Task<> cancel_pop() {
  Queue<int> queue;
  std::vector<int> order;
  auto first = spawn(pop_and_note(queue, order, 1));
  auto second = spawn(pop_and_note(queue, order, 2));
  co_await settle();
  first.cancel();
  co_await queue.push(5);
  EXPECT_THROW(co_await first, Cancelled);
  co_await second;
  EXPECT_EQ(order, (std::vector<int>{2, 5}));
}
TEST(QueueTest, ACancelledPopTakesNoItem) { make_loop()->run(cancel_pop()); }

Task<> cancel_pop_too_late() {
  Queue<int> queue;
  std::vector<int> order;
  auto task = spawn(pop_and_note(queue, order, 1));
  co_await settle();
  co_await queue.push(5);
  task.cancel();
  co_await task;  // it had the item already, and awaited nothing after it
  EXPECT_EQ(order, (std::vector<int>{1, 5}));
}
TEST(QueueTest, AnItemThatWasGivenIsDelivered) { make_loop()->run(cancel_pop_too_late()); }

Task<> cancel_push() {
  Queue<int> queue(1);
  co_await queue.push(0);
  auto first = spawn(push_range(queue, 1, 2));
  auto second = spawn(push_range(queue, 2, 3));
  co_await settle();
  first.cancel();
  EXPECT_THROW(co_await first, Cancelled);
  EXPECT_EQ(co_await queue.pop(), 0);
  EXPECT_EQ(co_await queue.pop(), 2);
  co_await second;
  EXPECT_EQ(queue.size(), 0u);
}
TEST(QueueTest, TheItemOfACancelledPushIsNotPushed) { make_loop()->run(cancel_push()); }

Task<> with_timeout() {
  Queue<int> queue(1);
  const auto nothing = co_await timeout(absl::Milliseconds(1), queue.pop());
  EXPECT_EQ(nothing.status().code(), absl::StatusCode::kDeadlineExceeded);
  const absl::Status pushed = co_await timeout(absl::InfiniteDuration(), queue.push(1));
  EXPECT_TRUE(pushed.ok());
  const absl::Status full = co_await timeout(absl::Milliseconds(1), queue.push(2));
  EXPECT_EQ(full.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(co_await queue.pop(), 1);
  EXPECT_EQ(queue.size(), 0u);
}
TEST(QueueTest, Timeout) { make_loop()->run(with_timeout()); }

Task<> moves_only() {
  Queue<std::unique_ptr<int>> queue(1);
  co_await queue.push(std::make_unique<int>(7));
  std::optional<std::unique_ptr<int>> item = co_await queue.pop();
  EXPECT_TRUE(item.has_value());
  EXPECT_EQ(**item, 7);
  auto handle = spawn(queue.pop());
  co_await settle();
  co_await queue.push(std::make_unique<int>(8));
  item = co_await std::move(handle);
  EXPECT_EQ(**item, 8);
}
TEST(QueueTest, MoveOnlyItems) { make_loop()->run(moves_only()); }

Task<> pop_plain(Queue<int>& queue) { (void)co_await queue.pop(); }
Task<> destroyed() {
  std::optional<Queue<int>> queue(std::in_place);
  auto task = spawn(pop_plain(*queue));
  co_await settle();
  queue.reset();
  EXPECT_THROW(co_await task, std::logic_error);
}
TEST(QueueTest, DestroyedUnderAWaiter) { make_loop()->run(destroyed()); }

Task<> shovel(Queue<int>& queue, const bool& stop) {
  while (!stop) {
    co_await queue.push(1);
    (void)co_await queue.pop();
  }
}
Task<> others_get_their_turn() {
  Queue<int> queue;
  bool stop = false;
  auto task = spawn(shovel(queue, stop));
  co_await sleep_for(absl::Milliseconds(1));
  stop = true;
  co_await task;
}
TEST(QueueTest, AnAlwaysReadyQueueDoesNotStarveTheLoop) { make_loop()->run(others_get_their_turn()); }

// Producers and consumers, cancelled at random: each pushed item is popped once or still there.
Task<> produce(Queue<int>& queue, std::set<int>& pushed, int base) {
  for (int i = base; i < base + 40; ++i) {
    co_await queue.push(i);
    pushed.insert(i);
  }
}
Task<> consume(Queue<int>& queue, std::vector<int>& popped) {
  while (std::optional<int> item = co_await queue.pop()) {
    popped.push_back(*item);
    if (*item % 3 == 0) co_await yield();
  }
}
Task<> storm(uint32_t seed) {
  std::mt19937 random(seed);
  Queue<int> queue(random() % 4);
  std::set<int> pushed;
  std::vector<int> popped;
  std::vector<JoinHandle<void>> producers;
  std::vector<JoinHandle<void>> consumers;
  for (int i = 0; i < 8; ++i) {
    producers.push_back(spawn(produce(queue, pushed, i * 100)));
    consumers.push_back(spawn(consume(queue, popped)));
  }
  for (int i = 0; i < 8; ++i) {
    for (uint32_t n = random() % 15; n > 0; --n) co_await yield();
    (random() % 2 == 0 ? producers : consumers)[1 + random() % 7].cancel();
  }
  for (auto& task : producers) {
    try {
      co_await task;
    } catch (const Cancelled&) {
    }
  }
  queue.close();
  for (auto& task : consumers) {
    try {
      co_await task;
    } catch (const Cancelled&) {
    }
  }
  EXPECT_EQ(queue.size(), 0u);
  const std::set<int> distinct(popped.begin(), popped.end());
  EXPECT_EQ(distinct.size(), popped.size());
  EXPECT_EQ(distinct, pushed);
}
TEST(QueueTest, CancelsAtRandom) {
  auto loop = make_loop();
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    loop->run(storm(seed));
  }
}

}  // namespace
}  // namespace weir
