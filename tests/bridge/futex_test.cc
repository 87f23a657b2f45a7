#include "weir/bridge/futex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace weir::internal {
namespace {

constexpr int64_t kMillisecond = 1'000'000;

TEST(Futex, DoesNotSleepWhenTheWordDiffers) {
  std::atomic<uint32_t> word{1};
  EXPECT_TRUE(futex_wait(word, 0));
}

TEST(Futex, ADeadlineInThePastReturnsAtOnce) {
  std::atomic<uint32_t> word{0};
  EXPECT_FALSE(futex_wait(word, 0, monotonic_now_ns() - kMillisecond));
  EXPECT_FALSE(futex_wait(word, 0, 0));
  EXPECT_FALSE(futex_wait(word, 0, -5));
}

TEST(Futex, ADeadlineIsAbsoluteAndNeverEarly) {
  std::atomic<uint32_t> word{0};
  const int64_t deadline = monotonic_now_ns() + 5 * kMillisecond;
  while (futex_wait(word, 0, deadline)) {
  }
  EXPECT_GE(monotonic_now_ns(), deadline);
}

TEST(Futex, TheWordDiffersBeforeTheDeadlineCounts) {
  std::atomic<uint32_t> word{1};
  EXPECT_TRUE(futex_wait(word, 0, 0));
}

TEST(Futex, TwoThreadsTakeTurns) {
  constexpr uint32_t kTurns = 2000;
  std::atomic<uint32_t> turn{0};
  auto play = [&turn](uint32_t parity) {
    for (;;) {
      const uint32_t now = turn.load(std::memory_order_acquire);
      if (now >= kTurns) return;
      if (now % 2 != parity) {
        futex_wait(turn, now);
        continue;
      }
      turn.store(now + 1, std::memory_order_release);
      futex_wake(turn, 1);
    }
  };
  std::thread even(play, 0);
  std::thread odd(play, 1);
  even.join();
  odd.join();
  EXPECT_EQ(turn.load(), kTurns);
}

TEST(Futex, WakeAllWakesEverySleeper) {
  std::atomic<uint32_t> word{0};
  std::atomic<int> asleep{0};
  std::vector<std::thread> sleepers;
  for (int i = 0; i < 8; ++i) {
    sleepers.emplace_back([&] {
      asleep.fetch_add(1);
      while (word.load(std::memory_order_acquire) == 0) futex_wait(word, 0);
    });
  }
  while (asleep.load() < 8) std::this_thread::yield();
  word.store(1, std::memory_order_release);
  futex_wake(word, kWakeAll);
  for (std::thread& sleeper : sleepers) sleeper.join();
}

}  // namespace
}  // namespace weir::internal
