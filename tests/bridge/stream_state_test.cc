#include "weir/bridge/stream_state.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

// An executor whose one thread is the test.
class ByHand final : public Executor {
 public:
  void submit(Job& job) override {
    if (closed) throw PoolClosed("by hand: closed");
    jobs.push_back(&job);
  }
  void run_all() {
    for (Job* job : std::exchange(jobs, {})) job->run();
  }
  void drop_all() {
    for (Job* job : std::exchange(jobs, {})) job->drop();
  }

  std::vector<Job*> jobs;
  bool closed = false;
};

Generator<int> count_to(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}

Task<> queued_then_run() {
  ByHand executor;
  auto it = threaded_iterable(count_to).on(executor)(2);
  EXPECT_TRUE(executor.jobs.empty());
  auto first = spawn([&]() -> Task<int> { co_return (co_await it.next()).value(); });
  co_await tests::settle();
  EXPECT_EQ(executor.jobs.size(), 1u);
  executor.run_all();
  EXPECT_EQ(co_await std::move(first), 0);
  EXPECT_EQ(co_await it.next(), 1);
  EXPECT_FALSE((co_await it.next()).has_value());
}
TEST(StreamState, CreatedQueuedRunningEnded) { run(queued_then_run()); }

Task<> withdrawn(bool run_it) {
  ByHand executor;
  auto held = std::make_shared<int>(1);
  auto it = threaded_iterable([held] { return std::vector<int>{*held}; }).on(executor)();
  auto next = spawn([&]() -> Task<> { EXPECT_FALSE((co_await it.next()).has_value()); });
  co_await tests::settle();
  co_await it.close();
  co_await std::move(next);
  EXPECT_EQ(held.use_count(), 1);
  run_it ? executor.run_all() : executor.drop_all();  // the executor comes to it later
}
TEST(StreamState, WithdrawnItIsNothingToTheExecutor) {
  run(withdrawn(true));
  run(withdrawn(false));
}

Task<> dropped() {
  ByHand executor;
  auto it = threaded_iterable(count_to).on(executor)(2);
  auto next = spawn([&]() -> Task<> { EXPECT_THROW(co_await it.next(), PoolClosed); });
  co_await tests::settle();
  executor.drop_all();
  co_await std::move(next);
  co_await it.close();
}
TEST(StreamState, DroppedByTheExecutorItFails) { run(dropped()); }

Task<> refused() {
  ByHand executor;
  executor.closed = true;
  auto it = threaded_iterable(count_to).on(executor)(2);
  EXPECT_THROW(co_await it.next(), PoolClosed);
  co_await it.close();  // it never started
  executor.closed = false;
  auto again = threaded_iterable(count_to).on(executor)(2);
  EXPECT_TRUE(executor.jobs.empty());
}
TEST(StreamState, RefusedByTheExecutorItHasNotStarted) { run(refused()); }

TEST(StreamState, AWithdrawnJobOutlivesItsLoop) {
  ByHand executor;
  run([](ByHand& place) -> Task<> {
    auto it = threaded_iterable(count_to).on(place)(2);
    auto next = spawn([&]() -> Task<> { co_await it.next(); });
    co_await tests::settle();
    next.cancel();
    co_await it.close();
    try {
      co_await std::move(next);
    } catch (const Cancelled&) {
    }
  }(executor));
  EXPECT_EQ(executor.jobs.size(), 1u);
  executor.run_all();
}

Task<> two_wait_for_the_end() {
  testing::Gate go;
  IteratorWrapper it([&go](Sink<int>& sink) {
    sink.put(1);
    go.wait();
  });
  EXPECT_EQ(co_await it.next(), 1);
  auto a = spawn([&]() -> Task<> { co_await it.close(); });
  auto b = spawn([&]() -> Task<> { co_await it.close(); });
  auto c = spawn([&]() -> Task<> { co_await it.close(); });
  co_await tests::settle();
  b.cancel();
  EXPECT_THROW(co_await std::move(b), Cancelled);
  EXPECT_FALSE(a.done());
  go.open();
  co_await std::move(c);
  co_await std::move(a);
}
TEST(StreamState, SeveralMayWaitForTheEndAndGiveUp) { run(two_wait_for_the_end()); }

}  // namespace
}  // namespace weir
