#include "weir/runtime/sync/event.h"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/loop.h"

namespace weir {
namespace {

using tests::make_loop;
using tests::settle;

Task<> wait_and_note(Event& event, std::vector<int>& order, int number) {
  co_await event.wait();
  order.push_back(number);
}

Task<> set_before_wait() {
  Event event;
  EXPECT_FALSE(event.is_set());
  event.set();
  event.set();
  EXPECT_TRUE(event.is_set());
  co_await event.wait();
  co_await event.wait();
  event.reset();
  EXPECT_FALSE(event.is_set());
}
TEST(EventTest, ASetEventIsNotWaitedFor) { make_loop()->run(set_before_wait()); }

Task<> wakes_in_order() {
  Event event;
  std::vector<int> order;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(spawn(wait_and_note(event, order, i)));
  co_await settle();
  EXPECT_TRUE(order.empty());
  event.set();
  EXPECT_TRUE(order.empty());  // set() itself runs nobody
  co_await gather(std::move(tasks));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}
TEST(EventTest, SetWakesAllInOrder) { make_loop()->run(wakes_in_order()); }

Task<> reset_after_set() {
  Event event;
  std::vector<int> order;
  auto first = spawn(wait_and_note(event, order, 1));
  co_await settle();
  event.set();
  event.reset();
  auto second = spawn(wait_and_note(event, order, 2));
  co_await settle();
  EXPECT_TRUE(first.done());
  EXPECT_FALSE(second.done());
  event.set();
  co_await second;
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}
TEST(EventTest, WhomSetHasWokenGoesOnInSpiteOfReset) { make_loop()->run(reset_after_set()); }

Task<> cancel_waiters() {
  Event event;
  std::vector<int> order;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(spawn(wait_and_note(event, order, i)));
  co_await settle();
  tasks[1].cancel();
  tasks[3].cancel();
  EXPECT_THROW(co_await tasks[1], Cancelled);
  EXPECT_THROW(co_await tasks[3], Cancelled);
  event.set();
  co_await tasks[0];
  co_await tasks[2];
  EXPECT_EQ(order, (std::vector<int>{0, 2}));
}
TEST(EventTest, ACancelledWaiterLeaves) { make_loop()->run(cancel_waiters()); }

Task<> cancel_after_set() {
  Event event;
  std::vector<int> order;
  auto task = spawn(wait_and_note(event, order, 1));
  co_await settle();
  event.set();
  task.cancel();
  co_await task;  // the wait had succeeded, and nothing was awaited after it
  EXPECT_EQ(order, std::vector<int>{1});
}
TEST(EventTest, ACancelThatComesTooLate) { make_loop()->run(cancel_after_set()); }

Task<> wait_in_cancelled(Event& event) {
  try {
    co_await event.wait();
  } catch (const Cancelled&) {
  }
  event.set();
  co_await event.wait();
}
Task<> cancelled_task() {
  Event event;
  auto task = spawn(wait_in_cancelled(event));
  co_await settle();
  task.cancel();
  EXPECT_THROW(co_await task, Cancelled);
  EXPECT_TRUE(event.is_set());
}
TEST(EventTest, ACancelledTaskThrowsEvenWhenSet) { make_loop()->run(cancelled_task()); }

Task<> with_timeout() {
  Event event;
  const absl::Status late = co_await timeout(absl::Milliseconds(1), event.wait());
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  event.set();
  const absl::Status fine = co_await timeout(absl::InfiniteDuration(), event.wait());
  EXPECT_TRUE(fine.ok());
}
TEST(EventTest, Timeout) { make_loop()->run(with_timeout()); }

Task<> wait_plain(Event& event) { co_await event.wait(); }
Task<> destroyed() {
  std::optional<Event> event(std::in_place);
  auto task = spawn(wait_plain(*event));
  co_await settle();
  event.reset();
  EXPECT_THROW(co_await task, std::logic_error);
}
TEST(EventTest, DestroyedUnderAWaiter) { make_loop()->run(destroyed()); }

TEST(EventTest, SetFromAPostedFunction) {
  auto loop = make_loop();
  Event event;
  loop->handle().post([&event] { event.set(); });
  loop->run(wait_plain(event));
}

Task<> leave_behind(Event& event, std::vector<int>& order) {
  (void)spawn(wait_and_note(event, order, 1));
  co_await settle();
}
TEST(EventTest, WaitersEndWithTheLoop) {
  Event event;
  std::vector<int> order;
  {
    auto loop = make_loop();
    loop->run(leave_behind(event, order));
  }
  event.set();  // nobody is left
  EXPECT_TRUE(order.empty());
}

}  // namespace
}  // namespace weir
