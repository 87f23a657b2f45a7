#include "weir/bridge/call.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;

static_assert(!std::is_copy_constructible_v<Call<int>>);
static_assert(!std::is_aggregate_v<Call<int>>);
static_assert(internal::Awaitable<Call<int>>);
static_assert(!internal::Awaitable<Call<int>&>);  // as an rvalue only

Task<> move_only() {
  auto f = threaded([](std::unique_ptr<int> p) {
    ++*p;
    return p;
  });
  EXPECT_EQ(*co_await f(std::make_unique<int>(1)), 2);
}
TEST(Call, T03_MoveOnlyArgumentsAndResults) { run(move_only()); }

Task<> references() {
  int target = 1;
  auto f = threaded([](int& n) -> int& { return ++n; });
  int& result = co_await f(std::ref(target));
  EXPECT_EQ(&result, &target);
  EXPECT_EQ(target, 2);
}
TEST(Call, T03_ReferencesInAndOut) { run(references()); }

struct NoDefault {
  explicit NoDefault(int n) : value(n) {}
  NoDefault(NoDefault&&) = default;
  int value;
};
Task<> no_default() {
  auto f = threaded([](int n) { return NoDefault(n); });
  EXPECT_EQ((co_await f(4)).value, 4);
}
TEST(Call, T03_ResultsWithoutADefaultConstructor) { run(no_default()); }

Task<> twice() {
  auto f = threaded([] { return 1; });
  Call<int> call = f();
  EXPECT_EQ(co_await std::move(call), 1);
  EXPECT_THROW(co_await std::move(call), std::logic_error);
  Call<int> moved = f();
  Call<int> into = std::move(moved);
  EXPECT_THROW(co_await std::move(moved), std::logic_error);
  EXPECT_EQ(co_await std::move(into), 1);
}
TEST(Call, AwaitedTwiceOrMovedFromIsAMistake) { run(twice()); }

Task<> two_waiters() {
  Gate go;
  auto f = threaded([&go] { go.wait(); });
  Call<void> call = f();
  auto first = spawn([&]() -> Task<> { co_await std::move(call); });
  co_await tests::settle();
  EXPECT_THROW(co_await std::move(call), std::logic_error);
  go.open();
  co_await std::move(first);  // would hang, had the second await taken its place
}
TEST(Call, ASecondAwaitDoesNotTakeTheFirstOnesPlace) { run(two_waiters()); }

TEST(Call, BelongsToTheLoopWhereItWasMade) {
  auto loop = tests::make_loop();
  std::unique_ptr<Call<int>> call;
  loop->run([](std::unique_ptr<Call<int>>& out) -> Task<> {
    auto f = threaded([] { return 1; });
    out = std::make_unique<Call<int>>(f());
    co_return;
  }(call));
  std::thread other([&] {
    EXPECT_THROW(run([](Call<int>& foreign) -> Task<> { co_await std::move(foreign); }(*call)), std::logic_error);
  });
  other.join();
  EXPECT_EQ(loop->run(std::move(*call)), 1);
}

TEST(Call, OutlivesItsLoop) {
  Gate go;
  std::unique_ptr<Call<std::string>> call;
  std::thread opener([&go] { go.open(); });
  run([](std::unique_ptr<Call<std::string>>& out, Gate& open) -> Task<> {
    auto f = threaded([&open] {
      open.wait();
      return std::string(100, 'x');
    });
    out = std::make_unique<Call<std::string>>(f());
    co_return;
  }(call, go));
  opener.join();
  call.reset();
}

Task<> drop_at_the_end(int rounds) {
  std::vector<std::thread> droppers;
  for (int i = 0; i < rounds; ++i) {
    auto f = threaded([] { return std::string(100, 'x'); });
    droppers.emplace_back([call = f()]() mutable { std::move(call).detach(); });
    if (i % 3 == 0) co_await yield();
  }
  for (auto& dropper : droppers) dropper.join();
}
TEST(Call, DroppedOnAnotherThreadAtTheMomentOfItsEnd) { run(drop_at_the_end(testing::storm(200))); }

Task<> closed_pool() {
  ThreadPool pool({.size = 1});
  pool.shutdown();
  auto f = threaded([] { return 1; }).on(pool);
  EXPECT_THROW((void)f(), PoolClosed);
  co_return;
}
TEST(Call, P05_SubmitAfterShutdownThrowsInTheCall) { run(closed_pool()); }

Task<> queued_at_shutdown() {
  ThreadPool pool({.size = 1});
  Gate go, busy;
  auto blocker = threaded([&] {
    busy.open();
    go.wait();
    return 7;
  }).on(pool);
  auto f = threaded([] { return 1; }).on(pool);
  Call<int> running = blocker();
  busy.wait();
  Call<int> queued = f();
  pool.close();
  EXPECT_THROW(co_await std::move(queued), PoolClosed);
  go.open();
  EXPECT_EQ(co_await std::move(running), 7);
}
TEST(Call, P08_N19_QueuedOnesFailWithThePoolRunningOnesDeliver) { run(queued_at_shutdown()); }

}  // namespace
}  // namespace weir
