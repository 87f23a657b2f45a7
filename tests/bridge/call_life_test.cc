// A call whose caller is cancelled, whose executor refuses it, or whose loop goes: what it does, reports and keeps.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/call.h"
#include "weir/tests/testing/executors.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace {
std::atomic<uint64_t> allocations{0};
}

// Counts. Under a sanitizer its own operators stay.
#if WEIR_RECYCLE_FRAMES
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* const block = std::malloc(size != 0 ? size : 1);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }
#endif

namespace weir {
namespace {

using testing::ByHand;
using testing::Gate;
using testing::TestLoop;
using Strings = std::vector<std::string>;

// Until the loop has taken what is in its inbox.
Task<> take_inbox() {
  Event taken;
  LoopHandle::current().post([&taken] { taken.set(); });
  co_await taken.wait();
}

// --- a caller that was cancelled before it awaits

template <class Make>
Task<bool> await_when_cancelled(Make make, bool& threw) {
  threw = false;
  Event cancelled;
  auto task = spawn([&]() -> Task<> {
    auto call = make();
    try {
      co_await cancelled.wait();
    } catch (const Cancelled&) {
    }
    try {
      co_await std::move(call);
    } catch (const Cancelled&) {
      threw = true;
    }
  });
  co_await tests::settle();
  co_await take_inbox();
  task.cancel();
  co_await tests::settle();
  co_return task.done();
}

Task<> queued_ones() {
  ByHand executor;
  std::atomic<int> ran = 0;
  for (const bool attached : {false, true}) {
    const auto f = threaded([&ran] { ++ran; }).on(executor);
    bool threw = false;
    EXPECT_TRUE(co_await await_when_cancelled([&] { return attached ? f.attached()() : f(); }, threw));
    EXPECT_TRUE(threw);
    executor.take().run();
  }
  EXPECT_EQ(ran, 0);
}
TEST(CallLife, ACancelledTaskWithdrawsAQueuedCallWhenItAwaitsIt) { run(queued_ones()); }

Task<> running_ones() {
  for (const bool attached : {false, true}) {
    ThreadPool pool({.size = 1});
    Gate began, go;
    const auto f = threaded([&] {
      began.open();
      go.wait();
    }).on(pool);
    bool threw = false;
    const auto make = [&] {
      auto call = attached ? f.attached()() : f();
      began.wait();
      return call;
    };
    EXPECT_EQ(co_await await_when_cancelled(make, threw), !attached);
    EXPECT_EQ(threw, !attached);
    go.open();
    co_await tests::settle();
    pool.shutdown();
  }
}
TEST(CallLife, ACancelledTaskLeavesARunningCallUnlessItIsAttached) { run(running_ones()); }

Task<> delivered_ones() {
  for (const bool attached : {false, true}) {
    ByHand executor;
    const auto f = threaded([] { return 1; }).on(executor);
    bool threw = false;
    const auto make = [&] {
      auto call = attached ? f.attached()() : f();
      executor.take().run();
      return call;
    };
    EXPECT_TRUE(co_await await_when_cancelled(make, threw));
    EXPECT_TRUE(threw);
  }
}
TEST(CallLife, ACancelledTaskDoesNotWaitForACallThatHasEnded) { run(delivered_ones()); }

TEST(CallLife, ACancelledTaskDoesNotSubmitACall) {
  for (const bool attached : {false, true}) {
    ByHand executor;
    const auto f = threaded([] { return 1; }).on(executor);
    std::optional<Call<int>> lazy = attached ? f.attached()() : f();  // no loop runs here
    run([](std::optional<Call<int>>& call) -> Task<> {
      bool threw = false;
      EXPECT_TRUE(co_await await_when_cancelled([&call] { return *std::exchange(call, std::nullopt); }, threw));
      EXPECT_TRUE(threw);
    }(lazy));
    EXPECT_TRUE(executor.jobs.empty());
  }
}

// --- what is reported

Task<> fail_under_a_cancelled_caller(bool cancelled_before) {
  ThreadPool pool({.size = 1});
  Gate began, go;
  const auto f = threaded([&] {
    began.open();
    go.wait();
    throw std::runtime_error("late");
  }).on(pool);
  Event never;
  auto task = spawn([&]() -> Task<> {
    auto call = f();
    if (cancelled_before) {
      try {
        co_await never.wait();
      } catch (const Cancelled&) {
      }
    }
    co_await std::move(call);
  });
  co_await tests::settle();
  began.wait();
  task.cancel();
  EXPECT_THROW(co_await std::move(task), Cancelled);
  go.open();
  while (pool.stats().done == 0) co_await yield();
  EXPECT_EQ(pool.stats().failed, 1u);
}
TEST(CallLife, TheFailureOfACallWhoseCallerWasCancelledIsNotReported) {
  for (const bool before : {false, true}) {
    TestLoop loop;
    loop.run(fail_under_a_cancelled_caller(before));
    loop.destroy();
    EXPECT_EQ(loop.reports(), Strings());
  }
}

TEST(CallLife, TheFailureOfADetachedCallIsReportedOnce) {
  TestLoop loop;
  loop.run([]() -> Task<> {
    const auto f = threaded([] { throw std::runtime_error("no disk"); });
    f().detach();
    EXPECT_THROW(co_await f(), std::runtime_error);
  }());
  loop.destroy();
  EXPECT_EQ(loop.reports(), Strings{"threaded: no disk"});
}

TEST(CallLife, TheFailureOfACallWhoseLoopHasGoneIsDropped) {
  TestLoop loop;
  Gate began, go;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  loop.run([](Gate& started, Gate& open, std::shared_ptr<int> own) -> Task<> {
    class Failure : public std::runtime_error {
     public:
      explicit Failure(std::shared_ptr<int> held_by_it) : std::runtime_error("late"), own_(std::move(held_by_it)) {}

     private:
      std::shared_ptr<int> own_;
    };
    const auto f = threaded_separate([&started, &open](std::shared_ptr<int> argument) {
      started.open();
      open.wait();
      throw Failure(std::move(argument));
    });
    f(std::move(own)).detach();
    started.wait();
    co_return;
  }(began, go, std::move(held)));
  loop.destroy();
  go.open();
  while (!watch.expired()) std::this_thread::yield();
  EXPECT_EQ(loop.reports(), Strings());
}

// --- what is kept

ContextVar<std::shared_ptr<int>>& variable() {
  static auto& only = *new ContextVar<std::shared_ptr<int>>("CallLife", nullptr);
  return only;
}

// A call that was made in a context whose variable holds what is watched.
template <class F>
auto call_in_context(const F& f, std::weak_ptr<int>& watch) {
  auto held = std::make_shared<int>(1);
  watch = held;
  const auto token = variable().set(std::move(held));
  auto call = f();
  variable().reset(token);
  return call;
}

Task<> context_of_a_withdrawn_call() {
  ByHand executor;
  const auto f = threaded([] {}).on(executor);
  std::weak_ptr<int> watch;
  auto task = spawn([&]() -> Task<> { co_await call_in_context(f, watch); });
  co_await tests::settle();
  EXPECT_FALSE(watch.expired());
  task.cancel();
  EXPECT_THROW(co_await std::move(task), Cancelled);
  EXPECT_TRUE(watch.expired());  // the executor still has the job
  executor.take().run();
}
TEST(CallLife, AWithdrawnCallKeepsNothingOfItsContext) { run(context_of_a_withdrawn_call()); }

Task<> context_of_a_call_that_has_ended() {
  const auto f = threaded([] {});
  std::weak_ptr<int> watch;
  Call<void> call = call_in_context(f, watch);
  co_await std::move(call);
  EXPECT_TRUE(watch.expired());
}
TEST(CallLife, ACallThatHasEndedKeepsNothingOfItsContext) { run(context_of_a_call_that_has_ended()); }

class Refusing final : public Executor {
 public:
  void submit(Job&) override { throw PoolClosed("refused"); }
};

// Refused in an await, it can be dropped, and keeps nothing.
TEST(CallLife, ACallThatIsRefusedIsGone) {
  Refusing executor;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  const auto f = threaded([](std::shared_ptr<int>) {}).on(executor);
  {
    Call<void> lazy = f(std::move(held));
    EXPECT_THROW(run([](Call<void>& call) -> Task<> { co_await std::move(call); }(lazy)), PoolClosed);
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

Task<> keep_settings() {
  ByHand executor;
  class Object {
   public:
    int method() { return 1; }
  } object;
  // Cancelled while it runs, an attached call is waited for.
  const auto is_attached = [&executor](auto f) -> Task<bool> {
    auto task = spawn([&]() -> Task<> { (void)co_await f(); });
    co_await tests::settle();
    Job& job = executor.take();
    std::thread thread([&job] { job.run(); });
    thread.join();  // its end is on its way
    task.cancel();
    bool threw = false;
    try {
      co_await std::move(task);
    } catch (const Cancelled&) {
      threw = true;
    }
    co_return !threw;
  };
  const auto f = threaded([] { return 1; });
  EXPECT_FALSE(co_await is_attached(f.on(executor)));
  EXPECT_TRUE(co_await is_attached(f.on(executor).attached()));
  EXPECT_TRUE(co_await is_attached(f.attached().on(executor)));
  EXPECT_TRUE(co_await is_attached(threaded(&Object::method).attached().on(executor).bind(&object)));
  EXPECT_FALSE(co_await is_attached(threaded(&Object::method).on(executor).bind(&object)));
}
TEST(CallLife, SettingsAreKeptWhenOthersAreMade) { run(keep_settings()); }

Task<> count_allocations() {
  constexpr int kCalls = 50;
  const auto f = threaded([](int n) { return n; });
  for (int i = 0; i < kCalls; ++i) (void)co_await f(i);
  const uint64_t before = allocations;
  for (int i = 0; i < kCalls; ++i) (void)co_await f(i);
  EXPECT_LT(allocations - before, uint64_t{kCalls}) << "one allocation a call, and that one recycled";
}
TEST(CallLife, NothingIsAllocatedForAStopTokenThatNobodyWants) { run(count_allocations()); }  // a sanitizer counts none

}  // namespace
}  // namespace weir
