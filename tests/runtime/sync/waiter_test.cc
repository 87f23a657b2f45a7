#include "weir/runtime/sync/waiter.h"

#include <gtest/gtest.h>

#include <coroutine>
#include <memory>
#include <stdexcept>
#include <string>

#include "weir/runtime.h"
#include "weir/tests/testing/loop.h"

namespace weir::internal {
namespace {

using tests::make_loop;
using tests::settle;

class TestWait final : public Waiter {
 public:
  TestWait(WaitList& list, bool there, int* gave_up) : list_(&list), there_(there), gave_up_(gave_up) {}
  bool await_ready() {
    may_go_on();
    return there_ && pass();
  }
  void await_suspend(std::coroutine_handle<> point) noexcept { wait_in(*list_, point); }
  void await_resume() const { finish(); }

 private:
  void gave_up() noexcept override { ++*gave_up_; }
  WaitList* list_;
  bool there_;
  int* gave_up_;
};

Task<> waits(WaitList& list, int& gave_up) {
  TestWait wait(list, false, &gave_up);
  co_await wait;
}

Task<> grants() {
  WaitList list;
  int gave_up = 0;
  EXPECT_TRUE(list.empty());
  auto one = spawn(waits(list, gave_up));
  auto two = spawn(waits(list, gave_up));
  auto three = spawn(waits(list, gave_up));
  co_await settle();
  EXPECT_FALSE(list.empty());
  list.grant(*list.first());
  EXPECT_FALSE(one.done());
  co_await settle();
  EXPECT_TRUE(one.done());
  EXPECT_FALSE(two.done());
  two.cancel();
  EXPECT_EQ(gave_up, 1);
  list.grant_all();
  EXPECT_TRUE(list.empty());
  EXPECT_THROW(co_await two, Cancelled);
  co_await three;
  EXPECT_EQ(gave_up, 1);
}
TEST(WaiterTest, GrantsAndCancels) { make_loop()->run(grants()); }

Task<> abandons() {
  int gave_up = 0;
  auto list = std::make_unique<WaitList>();
  auto task = spawn(waits(*list, gave_up));
  co_await settle();
  list.reset();
  try {
    co_await task;
    ADD_FAILURE() << "a wait in a destroyed list returned";
  } catch (const std::logic_error& error) {
    EXPECT_NE(std::string(error.what()).find("destroyed"), std::string::npos);
  }
  EXPECT_EQ(gave_up, 0);
}
TEST(WaiterTest, ADestroyedListWakesWithAnError) { make_loop()->run(abandons()); }

Task<> count(int& turns, const bool& stop) {
  while (!stop) {
    ++turns;
    co_await yield();
  }
}
Task<> passes() {
  WaitList list;
  int gave_up = 0;
  int turns = 0;
  bool stop = false;
  auto other = spawn(count(turns, stop));
  for (int i = 0; i < 10'000; ++i) {
    TestWait wait(list, true, &gave_up);
    co_await wait;
  }
  EXPECT_TRUE(list.empty());
  EXPECT_GT(turns, 10);
  EXPECT_LT(turns, 1000);
  stop = true;
  co_await other;
}
TEST(WaiterTest, WhatNeverWaitsStillLetsOthersRun) { make_loop()->run(passes()); }

TEST(WaiterTest, OutsideOfTasks) {
  WaitList list;
  int gave_up = 0;
  TestWait wait(list, true, &gave_up);
  EXPECT_THROW((void)wait.await_ready(), LookupError);
}

}  // namespace
}  // namespace weir::internal
