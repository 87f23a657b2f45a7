#include "weir/runtime/sync/semaphore.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/loop.h"

namespace weir {
namespace {

using tests::make_loop;
using tests::settle;

Task<> acquire_and_note(Semaphore& semaphore, size_t count, std::vector<int>& order, int number) {
  const Semaphore::Permit permit = co_await semaphore.acquire(count);
  order.push_back(number);
}

Task<> permits() {
  Semaphore semaphore(3);
  EXPECT_EQ(semaphore.available(), 3u);
  Semaphore::Permit one = co_await semaphore.acquire();
  Semaphore::Permit two = co_await semaphore.acquire(2);
  EXPECT_EQ(one.count(), 1u);
  EXPECT_EQ(two.count(), 2u);
  EXPECT_EQ(semaphore.available(), 0u);
  EXPECT_FALSE(semaphore.try_acquire().has_value());
  two.release();
  EXPECT_EQ(semaphore.available(), 2u);
  two.release();
  EXPECT_EQ(semaphore.available(), 2u);
  two = std::move(one);
  EXPECT_EQ(semaphore.available(), 2u);
  one.release();
  EXPECT_EQ(semaphore.available(), 2u);
  {
    std::optional<Semaphore::Permit> tried = semaphore.try_acquire(2);
    EXPECT_TRUE(tried.has_value());
    EXPECT_EQ(semaphore.available(), 0u);
    two = std::move(*tried);
    EXPECT_EQ(semaphore.available(), 1u);
  }
  EXPECT_EQ(semaphore.available(), 1u);
  two.release();
  EXPECT_EQ(semaphore.available(), 3u);
}
TEST(SemaphoreTest, PermitsAreGivenBackOnce) { make_loop()->run(permits()); }

Task<> in_order() {
  Semaphore semaphore(2);
  std::vector<int> order;
  std::optional<Semaphore::Permit> held = co_await semaphore.acquire(2);
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(spawn(acquire_and_note(semaphore, 1 + i % 2, order, i)));
  co_await settle();
  EXPECT_TRUE(order.empty());
  held.reset();
  co_await gather(std::move(tasks));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(semaphore.available(), 2u);
}
TEST(SemaphoreTest, FirstInFirstOut) { make_loop()->run(in_order()); }

Task<> large_first() {
  Semaphore semaphore(3);
  std::vector<int> order;
  std::optional<Semaphore::Permit> held = co_await semaphore.acquire(1);
  auto large = spawn(acquire_and_note(semaphore, 3, order, 3));
  co_await settle();
  auto small = spawn(acquire_and_note(semaphore, 1, order, 1));
  co_await settle();
  EXPECT_TRUE(order.empty());  // two are free, but the large one came first
  EXPECT_FALSE(semaphore.try_acquire().has_value());
  held.reset();
  co_await large;
  co_await small;
  EXPECT_EQ(order, (std::vector<int>{3, 1}));
}
TEST(SemaphoreTest, WhoWantsManyIsNotOvertaken) { make_loop()->run(large_first()); }

Task<> cancel_the_large() {
  Semaphore semaphore(3);
  std::vector<int> order;
  const Semaphore::Permit held = co_await semaphore.acquire(1);
  auto large = spawn(acquire_and_note(semaphore, 3, order, 3));
  auto small = spawn(acquire_and_note(semaphore, 1, order, 1));
  auto other = spawn(acquire_and_note(semaphore, 1, order, 2));
  co_await settle();
  EXPECT_TRUE(order.empty());
  large.cancel();
  EXPECT_THROW(co_await large, Cancelled);
  co_await small;
  co_await other;
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(semaphore.available(), 2u);
}
TEST(SemaphoreTest, ACancelLetsThoseBehindGoOn) { make_loop()->run(cancel_the_large()); }

Task<> acquire_and_stay(Semaphore& semaphore) {
  const Semaphore::Permit permit = co_await semaphore.acquire();
  co_await sleep_for(absl::InfiniteDuration());
}
Task<> cancel_after_grant() {
  Semaphore semaphore(1);
  std::vector<int> order;
  std::optional<Semaphore::Permit> held = co_await semaphore.acquire();
  auto first = spawn(acquire_and_stay(semaphore));
  auto second = spawn(acquire_and_note(semaphore, 1, order, 2));
  co_await settle();
  held.reset();
  EXPECT_EQ(semaphore.available(), 0u);  // the first's already
  first.cancel();
  EXPECT_THROW(co_await first, Cancelled);
  co_await second;
  EXPECT_EQ(order, std::vector<int>{2});
  EXPECT_EQ(semaphore.available(), 1u);
}
TEST(SemaphoreTest, ACancelAfterTheGrantLosesNothing) { make_loop()->run(cancel_after_grant()); }

TEST(SemaphoreTest, MoreThanThereAreIsAMistake) {
  Semaphore semaphore(2);
  EXPECT_THROW((void)semaphore.acquire(3), std::logic_error);
  EXPECT_THROW((void)semaphore.try_acquire(3), std::logic_error);
}

Task<> with_timeout() {
  Semaphore semaphore(1);
  {
    const Semaphore::Permit held = co_await semaphore.acquire();
    const auto late = co_await timeout(absl::Milliseconds(1), semaphore.acquire());
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_EQ(semaphore.available(), 1u);
  const auto fine = co_await timeout(absl::InfiniteDuration(), semaphore.acquire());
  EXPECT_TRUE(fine.ok());
  EXPECT_EQ(semaphore.available(), 0u);
}
TEST(SemaphoreTest, Timeout) { make_loop()->run(with_timeout()); }

Task<> worker(Semaphore& semaphore, size_t& held, uint32_t seed) {
  std::mt19937 random(seed);
  for (int i = 0; i < 30; ++i) {
    const Semaphore::Permit permit = co_await semaphore.acquire(random() % 5);
    held += permit.count();
    EXPECT_LE(held, 4u);
    try {
      for (uint32_t n = random() % 3; n > 0; --n) co_await yield();
    } catch (const Cancelled&) {
      held -= permit.count();
      throw;
    }
    held -= permit.count();
  }
}
Task<> storm(uint32_t seed) {
  std::mt19937 random(seed);
  Semaphore semaphore(4);
  size_t held = 0;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 20; ++i) tasks.push_back(spawn(worker(semaphore, held, static_cast<uint32_t>(random()))));
  for (int i = 0; i < 10; ++i) {
    for (uint32_t n = random() % 20; n > 0; --n) co_await yield();
    tasks[random() % tasks.size()].cancel();
  }
  size_t finished = 0;
  for (auto& task : tasks) {
    try {
      co_await task;
      ++finished;
    } catch (const Cancelled&) {
    }
  }
  EXPECT_GE(finished, 10u);
  EXPECT_EQ(held, 0u);
  EXPECT_EQ(semaphore.available(), 4u);
}
TEST(SemaphoreTest, CancelsAtRandom) {
  auto loop = make_loop();
  for (uint32_t seed = 1; seed <= 20; ++seed) loop->run(storm(seed));
}

}  // namespace
}  // namespace weir
