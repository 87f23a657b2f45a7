#include "weir/bridge/sync_await.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Count;
using testing::Gate;

Task<int> twice(int n) {
  co_await yield();
  co_return 2 * n;
}
Task<> forever() {
  Event never;
  co_await never.wait();
}

Task<> forms() {
  const LoopHandle handle = LoopHandle::current();
  auto f = threaded([handle] {
    EXPECT_EQ(sync_await(twice, 1), 2);
    EXPECT_EQ(sync_await(twice(2)), 4);
    EXPECT_EQ(wait_coroutine(twice(3)), 6);
    EXPECT_EQ(sync_wait_coroutine(handle, twice, 4), 8);
    EXPECT_EQ(sync_wait_coroutine(handle, twice(5)), 10);
    EXPECT_EQ(wait_coroutine(twice(5), handle), 10);
    auto captures = std::make_unique<int>(6);
    EXPECT_EQ(sync_await([&captures]() -> Task<int> { co_return co_await twice(*captures); }), 12);
    EXPECT_EQ(*sync_await([](std::unique_ptr<int> p) -> Task<std::unique_ptr<int>> { co_return p; }, std::move(captures)), 6);
    sync_await(yield());
    EXPECT_EQ(sync_await(threaded([] { return 7; })), 7);  // another call
  });
  co_await f();
}
TEST(SyncAwait, W01_W02_W04_EveryForm) { run(forms()); }

Task<> references() {
  auto f = threaded([handle = LoopHandle::current()] {
    int number = 0;
    const auto same = [&number]() -> Task<int&> { co_return number; };
    int& called = sync_await(same);
    int& in_hand = sync_await(same());
    int& elsewhere = sync_wait_coroutine(handle, same);
    EXPECT_EQ(&called, &number);
    EXPECT_EQ(&in_hand, &number);
    EXPECT_EQ(&elsewhere, &number);
  });
  co_await f();
}
TEST(SyncAwait, W01_AReferenceStaysOne) { run(references()); }

TEST(SyncAwait, W03_W13_AForeignThreadWithAHandle) {
  auto loop = tests::make_loop();
  loop->run([]() -> Task<> {
    Event over;
    std::thread thread([&, handle = LoopHandle::current()] {
      EXPECT_EQ(sync_wait_coroutine(handle, twice, 21), 42);
      handle.post([&over] { over.set(); });
    });
    co_await over.wait();
    thread.join();
  }());
}

Task<> exceptions() {
  const auto original = std::make_exception_ptr(std::runtime_error("same"));
  auto f = threaded([original] {
    const void* address = nullptr;
    try {
      std::rethrow_exception(original);
    } catch (const std::runtime_error& error) {
      address = &error;
    }
    try {
      sync_await([original]() -> Task<> {
        std::rethrow_exception(original);
        co_return;
      });
      ADD_FAILURE();
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(&error, address);
    }
    EXPECT_THROW(sync_await([]() -> Task<int> { throw std::out_of_range("at once"); }), std::out_of_range);
  });
  co_await f();
}
TEST(SyncAwait, W05_TheVeryExceptionArrives) { run(exceptions()); }

Task<> cancelled_coroutine() {
  JoinHandle<void> inner;
  auto f = threaded([&inner] {
    EXPECT_THROW(sync_await([&inner]() -> Task<> {
      inner = spawn(forever());
      inner.cancel();
      co_await inner;
    }), Cancelled);
  });
  co_await f();
}
TEST(SyncAwait, W06_D02_ACancelledCoroutineReleasesTheThread) { run(cancelled_coroutine()); }

TEST(SyncAwait, W07_ALoopThatIsGone) {
  auto loop = tests::make_loop();
  const LoopHandle handle = loop->handle();
  loop.reset();
  EXPECT_THROW(sync_wait_coroutine(handle, twice, 1), LoopClosed);
  EXPECT_THROW(sync_wait_coroutine(handle, twice(1)), LoopClosed);
}

TEST(SyncAwait, W07_D01_ALoopThatGoesBeforeTheCoroutineBegan) {
  for (int i = 0; i < testing::storm(30); ++i) {
    auto loop = tests::make_loop();
    std::atomic<int> closed = 0;
    Gate about;
    std::thread thread([&, handle = loop->handle()] {
      about.open();
      try {
        sync_wait_coroutine(handle, twice, 1);
        ADD_FAILURE();
      } catch (const LoopClosed&) {
        ++closed;
      }
    });
    about.wait();
    if (i % 2 != 0) std::this_thread::yield();
    loop.reset();
    thread.join();
    EXPECT_EQ(closed, 1);
  }
}

TEST(SyncAwait, W07_N08_ALoopThatGoesUnderTheCoroutine) {
  for (int i = 0; i < testing::storm(20); ++i) {
    auto loop = tests::make_loop();
    std::atomic<int> frames = 0;
    std::vector<std::thread> threads;
    loop->run([](std::atomic<int>& alive, std::vector<std::thread>& all) -> Task<> {
      class Guard {
       public:
        explicit Guard(std::atomic<int>& count) : count_(count) { ++count_; }
        ~Guard() { --count_; }

       private:
        std::atomic<int>& count_;
      };
      for (int n = 0; n < 4; ++n) {
        all.emplace_back([&alive, handle = LoopHandle::current()] {
          try {
            sync_wait_coroutine(handle, [&alive]() -> Task<> {
              const Guard guard(alive);
              co_await forever();
            });
            ADD_FAILURE();
          } catch (const LoopClosed&) {
          }
        });
      }
      while (alive < 4) co_await yield();
    }(frames, threads));
    EXPECT_EQ(frames, 4);
    loop.reset();
    EXPECT_EQ(frames, 0);
    for (auto& thread : threads) thread.join();
  }
}

// The loop's end cancels the coroutine, which ends with a result all the same: that arrives.
TEST(SyncAwait, W07_AResultThatComesWhileTheLoopGoes) {
  auto loop = tests::make_loop();
  const LoopHandle handle = loop->handle();
  std::atomic<bool> began = false;
  const auto stubborn = [&began]() -> Task<int> {
    began = true;
    Event never;
    try {
      co_await never.wait();
    } catch (const Cancelled&) {
    }
    co_return 7;
  };
  std::thread thread([&] { EXPECT_EQ(sync_wait_coroutine(handle, stubborn), 7); });
  loop->run([](std::atomic<bool>& there) -> Task<> {
    while (!there) co_await yield();
  }(began));
  loop.reset();
  thread.join();
}

TEST(SyncAwait, W08_WhereNoLoopIsKnown) {
  EXPECT_THROW(sync_await(twice, 1), LookupError);
  EXPECT_THROW(sync_await(twice(1)), LookupError);
  EXPECT_THROW(wait_coroutine(twice(1)), LookupError);
}

Task<> on_the_loop() {
  EXPECT_THROW(sync_await(twice, 1), DeadlockError);
  EXPECT_THROW(sync_await(twice(1)), DeadlockError);
  EXPECT_THROW(sync_wait_coroutine(LoopHandle::current(), twice, 1), DeadlockError);
  co_return;
}
TEST(SyncAwait, W09_N07_OnTheLoopsOwnThreadBetweenTwoRunsIsADeadlockError) {
  auto loop = tests::make_loop();
  auto other = tests::make_loop();
  loop->run(twice(1));
  EXPECT_THROW((void)sync_wait_coroutine(*loop, twice, 1), DeadlockError);
  EXPECT_THROW((void)sync_wait_coroutine(loop->handle(), twice(1)), DeadlockError);
  // In a task of another loop of the thread it is the same.
  const auto in_a_task = [&]() -> Task<> {
    EXPECT_THROW((void)sync_wait_coroutine(*loop, twice, 1), DeadlockError);
    co_return;
  };
  other->run(in_a_task());
  const LoopHandle handle = loop->handle();
  loop.reset();
  EXPECT_THROW((void)sync_wait_coroutine(handle, twice, 1), LoopClosed);
  // Its thread was this one; now another loop is.
  EXPECT_EQ(other->run(twice(2)), 4);
}

TEST(SyncAwait, W09_N07_OnTheLoopsOwnThreadIsADeadlockError) { run(on_the_loop()); }

Task<> caller_cancelled(Count& finished) {
  Event go;
  Gate waits;
  auto f = threaded([&] {
    sync_await([&]() -> Task<> {
      waits.open();
      co_await go.wait();
    });
    finished.add();
  });
  auto task = spawn([&]() -> Task<> { co_await f(); });
  while (!waits.is_open()) co_await yield();
  task.cancel();
  EXPECT_THROW(co_await std::move(task), Cancelled);
  go.set();
  while (finished.value() == 0) co_await yield();
}
TEST(SyncAwait, W10_CancellingWhoAwaitsTheThreadLeavesTheCoroutineAlone) {
  Count finished;
  run(caller_cancelled(finished));
  EXPECT_EQ(finished.value(), 1);
}

Task<> parallel() {
  int inside = 0;
  Event all;
  auto f = threaded([&] {
    sync_await([&]() -> Task<> {
      if (++inside == 5) all.set();
      co_await all.wait();
    });
  });
  std::vector<Call<void>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(f());
  co_await gather(std::move(calls));
  EXPECT_EQ(inside, 5);
}
TEST(SyncAwait, W11_ManyThreadsAtOnce) { run(parallel()); }

TEST(SyncAwait, W12_TheCoroutineSeesTheThreadsContext) {
  ContextVar<int> variable("variable", 0);
  run([](ContextVar<int>& v) -> Task<> {
    auto f = threaded([&v] {
      v.set(5);
      EXPECT_EQ(sync_await([&v]() -> Task<int> {
        const int seen = v.get();
        v.set(6);
        co_return seen;
      }), 5);
      EXPECT_EQ(v.get(), 5);
    });
    co_await f();
    EXPECT_EQ(v.get(), 0);
  }(variable));
}

Task<> many(int rounds) {
  auto f = threaded([rounds] {
    for (int i = 0; i < rounds; ++i) EXPECT_EQ(sync_await(twice, i), 2 * i);
  });
  std::vector<Call<void>> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(f());
  co_await gather(std::move(calls));
}
TEST(SyncAwait, D19_NoWakeUpIsLost) { run(many(testing::storm(1000))); }

}  // namespace
}  // namespace weir
