// A pool under many calls, several loops, and a shutdown.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/thread_pool.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;

Task<> cancel_many() {
  constexpr int kCalls = 1000;
  ThreadPool pool({.size = 8});
  Gate go;
  std::atomic<int> began{0};
  const auto f = threaded([&] {
    ++began;
    go.wait();
  }).on(pool);
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < kCalls; ++i) tasks.push_back(spawn(f()));
  while (began < 8) co_await yield();
  for (const auto& task : tasks) task.cancel();
  for (auto& task : tasks) EXPECT_THROW(co_await task, Cancelled);
  go.open();
  pool.shutdown();
  EXPECT_EQ(began, 8);  // those that were queued never ran
}
TEST(ThreadPool, P06_T08_CancelledCallsAreSkipped) { run(cancel_many()); }

// A loop that goes leaves queued calls in a pool that a second loop uses, too.
TEST(ThreadPool, P07_N18_ALoopThatGoesKillsNoWorker) {
  ThreadPool pool({.size = 2});
  for (int round = 0; round < 3; ++round) {
    Gate go;
    std::atomic<int> ran{0};
    std::thread opener;
    testing::TestLoop first;
    first.run([](ThreadPool& workers, Gate& open, std::atomic<int>& count) -> Task<> {
      const auto f = threaded([&open, &count] {
        open.wait();
        ++count;
      }).on(workers);
      for (int i = 0; i < 20; ++i) f().detach();
      co_return;
    }(pool, go, ran));
    opener = std::thread([&go, handle = first.handle()] {
      while (handle.alive()) std::this_thread::yield();
      go.open();
    });
    first.destroy();
    opener.join();
    EXPECT_EQ(run([](ThreadPool& workers) -> Task<int> {
      const auto f = threaded([](int n) { return n; }).on(workers);
      int sum = 0;
      for (int i = 0; i < 20; ++i) sum += co_await f(i);
      co_return sum;
    }(pool)), 190);
  }
  pool.shutdown();
  EXPECT_EQ(pool.stats().queued, 0u);
}

Task<> counters() {
  ThreadPool pool({.size = 2});
  const auto f = threaded([](bool fails) {
    if (fails) throw std::runtime_error("no");
  }).on(pool);
  for (int i = 0; i < 10; ++i) {
    try {
      co_await f(i % 2 == 0);
    } catch (const std::runtime_error&) {
    }
  }
  while (pool.stats().done < 10) co_await yield();
  const ThreadPoolStats stats = pool.stats();
  EXPECT_EQ(stats.done, 10u);
  EXPECT_EQ(stats.failed, 5u);
  EXPECT_EQ(stats.queued, 0u);
  EXPECT_EQ(stats.size, 2u);
}
TEST(ThreadPool, P09_DoneAndFailedAreCounted) { run(counters()); }

Task<> nothing_is_kept(ThreadPool& pool) {
  auto argument = std::make_shared<int>(7);
  const std::weak_ptr<int> watch = argument;
  const auto f = threaded([](std::shared_ptr<int> own) { return *own; }).on(pool);
  EXPECT_EQ(co_await f(std::move(argument)), 7);
  EXPECT_TRUE(watch.expired());  // the pool is idle, and there is no later job that would push it out
}
TEST(ThreadPool, P10_D21_AnIdlePoolKeepsNothingOfACall) {
  ThreadPool pool({.size = 1});
  run(nothing_is_kept(pool));
}

// 500 threads that wait for items, and a close that wakes them all; then the same with a full queue.
TEST(ThreadPool, P11_ACloseWakesEverySleeper) {
  constexpr int kSenders = 100;
  for (const bool drained : {false, true}) {
    FromThreadChannel<int> channel({.max_size = 1});
    std::atomic<int> refused{0};
    std::vector<std::thread> senders;
    for (int i = 0; i < kSenders; ++i) {
      senders.emplace_back([sender = channel.sender(), &refused] {
        try {
          for (;;) sender.put(1);
        } catch (const ChannelClosed&) {
          ++refused;
        }
      });
    }
    if (drained) {
      run([](FromThreadChannel<int>& same) -> Task<> {
        for (int i = 0; i < 1000; ++i) (void)co_await same.get();
        same.close();
      }(channel));
    } else {
      channel.close();
    }
    for (auto& sender : senders) sender.join();
    EXPECT_EQ(refused, kSenders);
  }
}

// A shutdown with callers that wait: the running one delivers, the queued ones fail, nobody hangs.
TEST(ThreadPool, P12_D20_N19_AShutdownUnderWaitingCallers) {
  ThreadPool pool({.size = 1});
  Gate began, go;
  run([](ThreadPool& workers, Gate& started, Gate& open) -> Task<> {
    const auto f = threaded([&] {
      started.open();
      open.wait();
      return 1;
    }).on(workers);
    auto running = spawn(f());
    std::vector<JoinHandle<int>> queued;
    started.wait();
    for (int i = 0; i < 10; ++i) queued.push_back(spawn(f()));
    co_await tests::settle();
    std::thread closer([&workers] { workers.shutdown(); });
    for (auto& call : queued) EXPECT_THROW(co_await call, PoolClosed);
    EXPECT_FALSE(running.done());
    open.open();
    EXPECT_EQ(co_await std::move(running), 1);
    closer.join();
    EXPECT_THROW((void)f(), PoolClosed);
  }(pool, began, go));
}

TEST(ThreadPool, WhatIsDroppedMayCloseThePoolToo) {
  class Closer {
   public:
    Closer(ThreadPool& pool, Gate& gate) : pool_(&pool), gate_(&gate) {}
    Closer(Closer&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), gate_(other.gate_) {}
    ~Closer() {
      if (pool_ == nullptr) return;
      gate_->open();
      while (pool_->stats().busy != 0) std::this_thread::yield();
      pool_->close();
    }

   private:
    ThreadPool* pool_;
    Gate* gate_;
  };
  ThreadPool pool({.size = 1});
  Gate gate;
  testing::Count started;
  pool.submit([&] {
    started.add();
    gate.wait();
  });
  started.wait_for(1);
  pool.submit([closer = Closer(pool, gate)] {});
  pool.submit([] {});
  pool.close();
  EXPECT_EQ(pool.stats().queued, 0u);
}

}  // namespace
}  // namespace weir
