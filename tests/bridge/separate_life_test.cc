// What becomes of a thread of its own when its caller, or its loop, goes.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "weir/bridge/separate.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;

// What a job held is gone.
void wait_until_gone(const std::weak_ptr<int>& watch) {
  while (!watch.expired()) std::this_thread::yield();
}

TEST(Separate, S03_ALoopDoesNotWaitForADetachedThread) {
  Gate began, go, ended;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  run([](Gate& started, Gate& open, Gate& over, std::shared_ptr<int> argument) -> Task<> {
    const auto f = threaded_separate([&started, &open, &over](std::shared_ptr<int> own) {
      started.open();
      open.wait();
      over.open();
      return std::string(100, static_cast<char>('a' + *own));
    });
    f(std::move(argument)).detach();
    started.wait();
    co_return;
  }(began, go, ended, std::move(held)));
  EXPECT_FALSE(ended.is_open());
  go.open();
  ended.wait();
  wait_until_gone(watch);
}

// The job, not detached, ends only after the loop has begun to go.
TEST(Separate, S04_N11_ALoopWaitsForAThreadThatIsNotDetached) {
  std::atomic<bool> over{false};
  std::optional<LoopHandle> handle;
  run([](std::optional<LoopHandle>& loop, std::atomic<bool>& done) -> Task<> {
    loop = LoopHandle::current();
    const auto f = threaded_separate(
        [&loop, &done] {
          while (loop->alive()) std::this_thread::yield();
          done = true;
        },
        {.name = "attached", .detach = false});
    f().detach();
    co_return;
  }(handle, over));
  EXPECT_TRUE(over);
}

Task<> cancel_running() {
  Gate began, go;
  std::atomic<bool> over{false};
  const auto f = threaded_separate([&] {
    began.open();
    go.wait();
    over = true;
    return 1;
  });
  auto task = spawn([&]() -> Task<int> { co_return co_await f(); });
  co_await tests::settle();
  began.wait();
  task.cancel();
  EXPECT_THROW(co_await std::move(task), Cancelled);
  EXPECT_FALSE(over);
  go.open();
  while (!over) std::this_thread::yield();  // it goes on
}
TEST(Separate, S06_ARunningCallIsLeftBehindAndGoesOn) { run(cancel_running()); }

// A thread that comes to its job after the caller was cancelled finds nothing to do; one that came before runs it.
Task<> cancel_at_once(int rounds) {
  for (int i = 0; i < rounds; ++i) {
    auto calls = std::make_shared<std::atomic<int>>(0);
    const std::weak_ptr<std::atomic<int>> watch = calls;
    {
      const auto f = threaded_separate([calls] { return ++*calls; });
      auto task = spawn([&f]() -> Task<int> { co_return co_await f(); });
      co_await yield();
      task.cancel();
      try {
        EXPECT_EQ(co_await std::move(task), 1);
      } catch (const Cancelled&) {
      }
    }
    calls.reset();
    while (!watch.expired()) co_await yield();
  }
}
TEST(Separate, S07_ACallThatIsCancelledBeforeItsThreadRunsIt) { run(cancel_at_once(100 * testing::storm_factor())); }

TEST(Separate, S09_D03_TheLoopGoesUnderARunningCall) {
  testing::TestLoop loop;
  Gate began, go;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  std::optional<Call<std::shared_ptr<int>>> call;
  loop.run([](Gate& started, Gate& open, std::optional<Call<std::shared_ptr<int>>>& out, std::shared_ptr<int> argument) -> Task<> {
    const auto f = threaded_separate([&started, &open](std::shared_ptr<int> own) {
      started.open();
      open.wait();
      return own;
    });
    out.emplace(f(std::move(argument)));
    started.wait();
    co_return;
  }(began, go, call, std::move(held)));
  loop.destroy();
  go.open();
  call.reset();
  wait_until_gone(watch);
  EXPECT_TRUE(loop.reports().empty());
}

Task<> no_return() {
  Gate ran;
  threaded_separate([&ran] { ran.open(); })().detach();
  ran.wait();
  co_return;
}
TEST(Separate, S10_FireAndForget) { run(no_return()); }

ContextVar<std::string> request("request");

Task<> context() {
  request.set("at the call");
  const auto read = threaded_separate([] {
    std::string seen = request.get();
    request.set("in the thread");
    EXPECT_TRUE(LoopHandle::current().alive());
    return seen;
  });
  auto call = read();
  request.set("after the call");
  EXPECT_EQ(co_await std::move(call), "at the call");
  EXPECT_EQ(request.get(), "after the call");
}
TEST(Separate, S14_TheThreadSeesASnapshotOfTheCallersContext) { run(context()); }

}  // namespace
}  // namespace weir
