#include "weir/bridge/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weir/runtime/context.h"
#include "weir/runtime/task.h"
#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"

namespace weir {
namespace {

using testing::Count;
using testing::Gate;

template <class Condition>
void wait_until(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

uint32_t storm_factor() {
  const char* factor = std::getenv("WEIR_STORM");
  return factor == nullptr ? 1 : std::max(1, std::atoi(factor));
}

std::string thread_name() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof(name));
  return name;
}

TEST(ThreadPool, RunsWhatIsSubmitted) {
  Count ran;
  ThreadPool pool({.size = 3, .name = "io"});
  for (int i = 0; i < 100; ++i) pool.submit([&ran] { ran.add(); });
  ran.wait_for(100);
  wait_until([&pool] { return pool.stats().done == 100; });
  const ThreadPoolStats stats = pool.stats();
  EXPECT_EQ(stats.size, 3u);
  EXPECT_EQ(stats.busy, 0u);
  EXPECT_EQ(stats.queued, 0u);
  EXPECT_EQ(stats.spare, 0u);
  EXPECT_EQ(stats.parked, 0u);
  EXPECT_EQ(stats.failed, 0u);
}

TEST(ThreadPool, P01_DefaultSizeFollowsTheCores) {
  ThreadPool pool;
  EXPECT_EQ(pool.stats().size, std::min(std::max(std::thread::hardware_concurrency(), 4u), 32u));
  EXPECT_THROW(ThreadPool({.size = ThreadPool::kSizeMax + 1}), std::invalid_argument);
}

TEST(ThreadPool, P03_T18_NamesItsThreads) {
  for (const auto& [name, expected] : {std::pair<std::string, std::string>{"io", "io-0"},
                                       {"a-name-that-is-too-long", "a-name-that-i-0"}}) {
    Count ran;
    std::string seen;
    ThreadPool pool({.size = 1, .name = name});
    pool.submit([&] {
      seen = thread_name();
      ran.add();
    });
    ran.wait_for(1);
    EXPECT_EQ(seen, expected);
  }
}

TEST(ThreadPool, P04_FirstInFirstOut) {
  std::vector<int> order;
  Gate gate;
  {
    ThreadPool pool({.size = 1});
    Count ran;
    pool.submit([&gate] { gate.wait(); });
    for (int i = 0; i < 1000; ++i) {
      pool.submit([&order, &ran, i] {
        order.push_back(i);
        ran.add();
      });
    }
    gate.open();
    ran.wait_for(1000);
  }
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(ThreadPool, AsManyRunAtOnceAsItHasThreads) {
  constexpr uint32_t kSize = 5;
  Count arrived;
  ThreadPool pool({.size = kSize});
  for (uint32_t i = 0; i < kSize; ++i) {
    pool.submit([&arrived] {
      arrived.add();
      arrived.wait_for(kSize);  // each waits for all
    });
  }
  arrived.wait_for(kSize);
}

TEST(ThreadPool, P02_NeverMoreRunThanItHasThreads) {
  Count ran;
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  ThreadPool pool({.size = 3});
  for (int i = 0; i < 200; ++i) {
    pool.submit([&] {
      const int now = running.fetch_add(1) + 1;
      for (int seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::yield();
      running.fetch_sub(1);
      ran.add();
    });
  }
  ran.wait_for(200);
  EXPECT_LE(most.load(), 3);
}

TEST(ThreadPool, MoveOnlyCallablesAndFunctions) {
  Count ran;
  ThreadPool pool({.size = 1});
  pool.submit([owned = std::make_unique<Count*>(&ran)] { (*owned)->add(); });
  const auto shared = [&ran] { ran.add(); };
  pool.submit(shared);
  static std::atomic<int> calls{0};
  pool.submit(+[] { ++calls; });
  ran.wait_for(2);
  wait_until([] { return calls.load() == 1; });
}

TEST(ThreadPool, P09_AFailureIsCountedAndReported) {
  ::testing::internal::CaptureStderr();
  {
    ThreadPool pool({.size = 1, .name = "io"});
    pool.submit([] { throw std::runtime_error("disk gone"); });
    pool.submit([] { throw 7; });
    wait_until([&pool] { return pool.stats().done == 2; });
    EXPECT_EQ(pool.stats().failed, 2u);
  }
  const std::string lines = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(lines.find("weir: a job of pool io failed: disk gone\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("an exception of type int\n"), std::string::npos) << lines;
}

// A loop that is known where a callable is submitted is known in it, and learns of what it throws.
TEST(ThreadPool, ACallableThatFailsIsReportedToItsLoop) {
  testing::TestLoop loop;
  ::testing::internal::CaptureStderr();
  {
    ThreadPool pool({.size = 1, .name = "io"});
    const auto submit_one = [&]() -> Task<> {
      const LoopHandle here = LoopHandle::current();
      pool.submit([here] {
        EXPECT_EQ(LoopHandle::current(), here);
        throw std::runtime_error("disk gone");
      });
      co_return;
    };
    loop.run(submit_one());
    wait_until([&pool] { return pool.stats().done == 1; });
    EXPECT_EQ(pool.stats().failed, 1u);
    pool.submit([] { EXPECT_THROW((void)LoopHandle::current(), LookupError); });
    wait_until([&pool] { return pool.stats().done == 2; });
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(loop.reports(), std::vector<std::string>{"pool io: disk gone"});
}

TEST(ThreadPool, ACallableWhoseLoopIsGoneIsReportedOnStderr) {
  testing::TestLoop loop;
  ::testing::internal::CaptureStderr();
  {
    ThreadPool pool({.size = 1, .name = "io"});
    Gate gone;
    const auto submit_one = [&]() -> Task<> {
      pool.submit([&gone] {
        gone.wait();
        throw std::runtime_error("disk gone");
      });
      co_return;
    };
    loop.run(submit_one());
    loop.destroy();
    gone.open();
    wait_until([&pool] { return pool.stats().done == 1; });
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "weir: a job of pool io failed: disk gone\n");
  EXPECT_TRUE(loop.reports().empty());
}

TEST(ThreadPool, P05_ACallableRunsInASnapshotOfTheContext) {
  ContextVar<int> variable("variable", 0);
  ThreadPool pool({.size = 1});
  std::atomic<int> seen{0};
  const auto token = variable.set(1);
  Gate go;
  pool.submit([&] {
    go.wait();
    seen = variable.get();
    (void)variable.set(3);
  });
  variable.reset(token);
  (void)variable.set(2);
  go.open();
  wait_until([&pool] { return pool.stats().done == 1; });
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(variable.get(), 2);
  pool.submit([&] { seen = variable.get(); });
  wait_until([&pool] { return pool.stats().done == 2; });
  EXPECT_EQ(seen, 2);
}

TEST(ThreadPool, CountFailureIsForJobsThatHandTheirExceptionOn) {
  ThreadPool::count_failure();  // on a foreign thread: nothing
  ThreadPool pool({.size = 1});
  pool.submit([] { ThreadPool::count_failure(); });
  wait_until([&pool] { return pool.stats().done == 1; });
  EXPECT_EQ(pool.stats().failed, 1u);
}

TEST(ThreadPool, P10_KeepsNothingOfAJobThatHasRun) {
  auto token = std::make_shared<int>(1);
  std::weak_ptr<int> watch = token;
  ThreadPool pool({.size = 1});
  pool.submit([kept = std::move(token)] {});
  wait_until([&pool] { return pool.stats().done == 1; });
  EXPECT_TRUE(watch.expired());
}

class CountedJob final : public Job {
 public:
  CountedJob(Count& ran, Count& dropped) : ran_(ran), dropped_(dropped) {}
  void run() noexcept override { ran_.add(); }
  void drop() noexcept override { dropped_.add(); }

 private:
  Count& ran_;
  Count& dropped_;
};

TEST(ThreadPool, P08_WhatAFreeThreadIsAboutToTakeRuns) {
  for (int i = 0; i < testing::storm(100); ++i) {
    std::atomic<int> ran = 0;
    {
      ThreadPool pool({.size = 2});
      for (int job = 0; job < 2; ++job) pool.submit([&ran] { ++ran; });
      if (i % 2 == 0) pool.shutdown();
    }
    EXPECT_EQ(ran, 2);
  }
}

TEST(ThreadPool, P08_ShutdownDropsTheQueuedAndFinishesTheRunning) {
  Count ran, dropped, started;
  Gate gate;
  bool finished = false;
  ThreadPool pool({.size = 1});
  pool.submit([&] {
    started.add();
    gate.wait();
    finished = true;
  });
  std::vector<std::unique_ptr<CountedJob>> jobs;
  for (int i = 0; i < 10; ++i) jobs.push_back(std::make_unique<CountedJob>(ran, dropped));
  started.wait_for(1);
  for (auto& job : jobs) pool.submit(*job);
  auto token = std::make_shared<int>(1);
  pool.submit([token] {});
  EXPECT_EQ(pool.stats().queued, 11u);
  EXPECT_EQ(pool.stats().busy, 1u);

  std::thread closer([&pool] { pool.shutdown(); });
  dropped.wait_for(10);
  wait_until([&token] { return token.use_count() == 1; });
  EXPECT_THROW(pool.submit(*jobs[0]), PoolClosed);
  EXPECT_THROW(pool.submit([token] {}), PoolClosed);
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(pool.wait(absl::ZeroDuration()));
  gate.open();
  closer.join();
  EXPECT_TRUE(finished);
  EXPECT_EQ(ran.value(), 0);
  EXPECT_EQ(pool.stats().queued, 0u);
  pool.shutdown();
  EXPECT_TRUE(pool.wait(absl::ZeroDuration()));
}

TEST(ThreadPool, ShutdownOnItsOwnThreadIsRefused) {
  Count ran;
  ThreadPool pool({.size = 1});
  pool.submit([&] {
    EXPECT_THROW(pool.shutdown(), DeadlockError);
    EXPECT_THROW(pool.wait(absl::Seconds(1)), DeadlockError);
    ran.add();
  });
  ran.wait_for(1);
}

TEST(ThreadPool, MayBeDestroyedOnItsOwnThread) {
  auto ran = std::make_shared<Count>();
  auto pool = std::make_shared<ThreadPool>(ThreadPoolOptions{.size = 2});
  auto gate = std::make_shared<Gate>();
  pool->submit([ran, gate, pool]() mutable {
    gate->wait();
    pool.reset();  // the last one
    ran->add();
  });
  pool.reset();
  gate->open();
  ran->wait_for(1);
}

TEST(ThreadPool, AJobThatDoesNotEndCanBeAbandoned) {
  auto gate = std::make_shared<Gate>();
  auto started = std::make_shared<Count>();
  auto ended = std::make_shared<Count>();
  {
    ThreadPool pool({.size = 2, .name = "io"});
    pool.submit([gate, started, ended] {
      started->add();
      gate->wait();
      ended->add();
    });
    started->wait_for(1);
    pool.close();
    EXPECT_FALSE(pool.wait(absl::Milliseconds(1)));
    // The other thread may have ended by itself.
    const std::vector<std::string> names = pool.abandon();
    EXPECT_GE(names.size(), 1u);
    EXPECT_LE(names.size(), 2u);
    pool.shutdown();
  }
  gate->open();
  ended->wait_for(1);
}

TEST(ThreadPool, AParkedWorkerIsReplacedWhileWorkIsQueued) {
  Count inner_ran, outer_done;
  ThreadPool pool({.size = 1});
  pool.submit([&] {
    pool.submit([&inner_ran] { inner_ran.add(); });
    ThreadPool::Parked parked;
    inner_ran.wait_for(1);  // without a spare worker: for ever
    outer_done.add();
  });
  outer_done.wait_for(1);
  wait_until([&pool] { return pool.stats().done == 2; });
}

TEST(ThreadPool, WorkSubmittedWhileAllAreParkedRuns) {
  Gate gate;
  Count parked_count, ran;
  ThreadPool pool({.size = 2});
  for (uint32_t i = 0; i < 2; ++i) {
    pool.submit([&] {
      ThreadPool::Parked parked;
      ThreadPool::Parked nested;
      parked_count.add();
      gate.wait();
    });
    parked_count.wait_for(i + 1);
  }
  EXPECT_EQ(pool.stats().parked, 2u);
  EXPECT_EQ(pool.stats().spare, 0u) << "nothing is queued";
  for (int i = 0; i < 10; ++i) pool.submit([&ran] { ran.add(); });
  ran.wait_for(10);
  EXPECT_GE(pool.stats().spare, 1u);
  EXPECT_LE(pool.stats().spare, 2u);
  EXPECT_EQ(pool.stats().parked, 2u);
  gate.open();
  wait_until([&pool] { return pool.stats().spare == 0 && pool.stats().parked == 0; });
  for (int i = 0; i < 10; ++i) pool.submit([&ran] { ran.add(); });
  ran.wait_for(20);
}

TEST(ThreadPool, OneSpareForEachLevelOfNesting) {
  constexpr int kDepth = 40;
  Count bottom;
  ThreadPool pool({.size = 1});
  struct Nest {
    static void go(ThreadPool& its_pool, Count& its_bottom, int depth) {
      if (depth == 0) {
        its_bottom.add();
        return;
      }
      auto child = std::make_shared<Count>();
      its_pool.submit([&its_pool, &its_bottom, child, depth] {
        go(its_pool, its_bottom, depth - 1);
        child->add();
      });
      ThreadPool::Parked parked;
      child->wait_for(1);
    }
  };
  Nest::go(pool, bottom, kDepth);
  bottom.wait_for(1);
}

TEST(ThreadPool, BeyondTheBoundWorkWaitsAndThePoolSaysSoOnce) {
  ::testing::internal::CaptureStderr();
  {
    Gate gate;
    Count parked_count, ran;
    ThreadPool pool({.size = 1, .name = "small"});
    constexpr uint32_t kAll = 1 + ThreadPool::kSparesMax;
    for (uint32_t i = 0; i < kAll; ++i) {
      pool.submit([&] {
        ThreadPool::Parked parked;
        parked_count.add();
        gate.wait();
      });
    }
    parked_count.wait_for(kAll);
    EXPECT_EQ(pool.stats().spare, ThreadPool::kSparesMax);
    EXPECT_EQ(pool.stats().parked, kAll);
    pool.submit([&ran] { ran.add(); });
    pool.submit([&ran] { ran.add(); });
    EXPECT_EQ(pool.stats().queued, 2u);
    gate.open();
    ran.wait_for(2);
  }
  const std::string lines = ::testing::internal::GetCapturedStderr();
  const size_t first = lines.find("spare threads are parked");
  EXPECT_NE(first, std::string::npos) << lines;
  EXPECT_EQ(lines.find("spare threads are parked", first + 1), std::string::npos) << lines;
}

TEST(ThreadPool, ParkedDoesNothingOnAForeignThread) {
  ThreadPool pool({.size = 1});
  ThreadPool::Parked parked;
  EXPECT_EQ(pool.stats().parked, 0u);
}

// Every submit either runs, or is dropped, or is refused.
TEST(ThreadPool, StormOfShutdowns) {
  const uint32_t rounds = 200 * storm_factor();
  for (uint32_t round = 0; round < rounds; ++round) {
    Count ran, dropped;
    std::atomic<uint32_t> refused{0};
    constexpr uint32_t kJobs = 50;
    std::vector<std::unique_ptr<CountedJob>> jobs;
    for (uint32_t i = 0; i < kJobs; ++i) jobs.push_back(std::make_unique<CountedJob>(ran, dropped));
    ThreadPool pool({.size = 1 + round % 3});
    std::thread submitter([&] {
      for (auto& job : jobs) {
        try {
          pool.submit(*job);
        } catch (const PoolClosed&) {
          refused.fetch_add(1);
        }
      }
    });
    std::thread other([&pool] { pool.shutdown(); });
    pool.shutdown();
    submitter.join();
    other.join();
    EXPECT_EQ(ran.value() + dropped.value() + refused.load(), kJobs);
  }
}

}  // namespace
}  // namespace weir
