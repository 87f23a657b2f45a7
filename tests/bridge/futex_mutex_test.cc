#include "weir/bridge/futex_mutex.h"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>
#include <vector>

namespace weir::internal {
namespace {

TEST(FutexMutex, OneHolderAtATime) {
  FutexMutex<> mutex;
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST(FutexMutex, CountsUnderContention) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  FutexMutex<> mutex;
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        std::lock_guard lock(mutex);
        ++count;
        if (round % 1000 == 0) std::this_thread::yield();  // others go to sleep meanwhile
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kRounds);
}

}  // namespace
}  // namespace weir::internal
