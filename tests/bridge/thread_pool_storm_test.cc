// Many jobs at once: submits from several threads, single jobs, jobs that park.

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "weir/bridge/thread_pool.h"
#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"

namespace weir {
namespace {

using testing::Count;
using testing::storm;

// Tiny jobs from several threads with random gaps: each of the sleeps and wakes is hit.
TEST(ThreadPool, StormOfSubmits) {
  const int jobs = storm(20'000);
  constexpr int kSubmitters = 3;
  Count ran;
  ThreadPool pool({.size = 3});
  std::vector<std::thread> submitters;
  for (int s = 0; s < kSubmitters; ++s) {
    submitters.emplace_back([&, s] {
      std::minstd_rand random(static_cast<unsigned>(s) + 1);
      for (int i = 0; i < jobs; ++i) {
        pool.submit([&ran] { ran.add(); });
        if (random() % 32 == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& submitter : submitters) submitter.join();
  ran.wait_for(kSubmitters * jobs);
}

// One job at a time: a lost wake-up hangs.
TEST(ThreadPool, D19_StormOfSingleJobs) {
  const int jobs = storm(20'000);
  Count ran;
  ThreadPool pool({.size = 2});
  for (int i = 0; i < jobs; ++i) {
    pool.submit([&ran] { ran.add(); });
    ran.wait_for(i + 1);
  }
}

// Jobs that park and depend on jobs behind them.
TEST(ThreadPool, StormOfParking) {
  const int jobs = storm(2'000);
  auto ran = std::make_shared<Count>();
  ThreadPool pool({.size = 2});
  for (int i = 0; i < jobs; ++i) {
    pool.submit([&pool, ran, i] {
      auto child = std::make_shared<Count>();
      for (int c = 0; c < 1 + i % 3; ++c) pool.submit([child] { child->add(); });
      {
        ThreadPool::Parked parked;
        child->wait_for(1 + i % 3);
      }
      ran->add();
    });
    if (i % 16 == 15) ran->wait_for(i - 8);
  }
  ran->wait_for(jobs);
  EXPECT_LE(pool.stats().spare, ThreadPool::kSparesMax);
}

}  // namespace
}  // namespace weir
