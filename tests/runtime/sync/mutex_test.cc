#include "weir/runtime/sync/mutex.h"

#include <gtest/gtest.h>

#include <memory>
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

Task<> lock_and_note(Mutex& mutex, std::vector<int>& order, int number) {
  const Mutex::Guard guard = co_await mutex.lock();
  order.push_back(number);
  co_await yield();
  order.push_back(number);
}

Task<> excludes() {
  Mutex mutex;
  std::vector<int> order;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(spawn(lock_and_note(mutex, order, i)));
  co_await gather(std::move(tasks));
  EXPECT_EQ(order, (std::vector<int>{0, 0, 1, 1, 2, 2, 3, 3}));
  EXPECT_FALSE(mutex.locked());
}
TEST(MutexTest, OneAtATimeInOrder) { make_loop()->run(excludes()); }

Task<> guards() {
  Mutex mutex;
  Mutex::Guard guard = co_await mutex.lock();
  EXPECT_TRUE(mutex.locked());
  EXPECT_FALSE(mutex.try_lock().has_value());
  guard.unlock();
  EXPECT_FALSE(mutex.locked());
  guard.unlock();
  {
    std::optional<Mutex::Guard> tried = mutex.try_lock();
    EXPECT_TRUE(tried.has_value());
    Mutex::Guard moved = std::move(*tried);
    tried.reset();
    EXPECT_TRUE(mutex.locked());
    guard = std::move(moved);
    EXPECT_TRUE(mutex.locked());
  }
  EXPECT_TRUE(mutex.locked());
  Mutex other;
  guard = co_await other.lock();
  EXPECT_FALSE(mutex.locked());
  EXPECT_TRUE(other.locked());
}
TEST(MutexTest, GuardsUnlockOnce) { make_loop()->run(guards()); }

Task<> no_barging() {
  Mutex mutex;
  std::vector<int> order;
  std::optional<Mutex::Guard> guard = co_await mutex.lock();
  auto waiter = spawn(lock_and_note(mutex, order, 1));
  co_await settle();
  guard.reset();
  // The waiter has it already, although it has not run.
  EXPECT_TRUE(mutex.locked());
  EXPECT_FALSE(mutex.try_lock().has_value());
  co_await lock_and_note(mutex, order, 2);
  EXPECT_EQ(order, (std::vector<int>{1, 1, 2, 2}));
  co_await waiter;
}
TEST(MutexTest, NobodyOvertakesAWaiter) { make_loop()->run(no_barging()); }

Task<> cancel_waiters() {
  Mutex mutex;
  std::vector<int> order;
  std::optional<Mutex::Guard> guard = co_await mutex.lock();
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(spawn(lock_and_note(mutex, order, i)));
  co_await settle();
  tasks[0].cancel();
  tasks[2].cancel();
  EXPECT_THROW(co_await tasks[0], Cancelled);
  guard.reset();
  co_await tasks[1];
  EXPECT_THROW(co_await tasks[2], Cancelled);
  co_await tasks[3];
  EXPECT_EQ(order, (std::vector<int>{1, 1, 3, 3}));
  EXPECT_FALSE(mutex.locked());
}
TEST(MutexTest, ACancelledWaiterDoesNotKeepIt) { make_loop()->run(cancel_waiters()); }

Task<> cancel_after_grant() {
  Mutex mutex;
  std::vector<int> order;
  std::optional<Mutex::Guard> guard = co_await mutex.lock();
  auto first = spawn(lock_and_note(mutex, order, 1));
  auto second = spawn(lock_and_note(mutex, order, 2));
  co_await settle();
  guard.reset();
  first.cancel();  // it owns the mutex by now, and gets as far as its next co_await
  EXPECT_THROW(co_await first, Cancelled);
  co_await second;
  EXPECT_EQ(order, (std::vector<int>{1, 2, 2}));
  EXPECT_FALSE(mutex.locked());
}
TEST(MutexTest, ACancelAfterTheGrantLosesNothing) { make_loop()->run(cancel_after_grant()); }

Task<> with_timeout() {
  Mutex mutex;
  {
    const Mutex::Guard guard = co_await mutex.lock();
    const auto late = co_await timeout(absl::Milliseconds(1), mutex.lock());
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  }
  auto fine = co_await timeout(absl::InfiniteDuration(), mutex.lock());
  EXPECT_TRUE(fine.ok());
  EXPECT_TRUE(mutex.locked());
}
TEST(MutexTest, Timeout) { make_loop()->run(with_timeout()); }

Task<> lock_plain(Mutex& mutex) { const Mutex::Guard guard = co_await mutex.lock(); }
Task<> destroyed() {
  auto mutex = std::make_unique<Mutex>();
  Mutex::Guard guard = co_await mutex->lock();
  auto waiter = spawn(lock_plain(*mutex));
  co_await settle();
  waiter.cancel();
  EXPECT_THROW(co_await waiter, Cancelled);
  auto left = spawn(lock_plain(*mutex));
  co_await settle();
  Mutex::Guard* const never_dropped = new Mutex::Guard(std::move(guard));
  mutex.reset();
  EXPECT_THROW(co_await left, std::logic_error);
  operator delete(never_dropped);  // its mutex is gone
}
TEST(MutexTest, DestroyedUnderAWaiter) { make_loop()->run(destroyed()); }

Task<> greedy(Mutex& mutex, const bool& stop, int64_t& rounds) {
  while (!stop) {
    const Mutex::Guard guard = co_await mutex.lock();
    ++rounds;
  }
}
Task<> others_get_their_turn() {
  Mutex mutex;
  bool stop = false;
  int64_t rounds = 0;
  auto task = spawn(greedy(mutex, stop, rounds));
  co_await sleep_for(absl::Milliseconds(1));
  stop = true;
  co_await task;
  EXPECT_GT(rounds, 0);
}
TEST(MutexTest, AFreeMutexDoesNotStarveTheLoop) { make_loop()->run(others_get_their_turn()); }

Task<> worker(Mutex& mutex, int& inside, int& done, uint32_t seed) {
  std::mt19937 random(seed);
  for (int i = 0; i < 50; ++i) {
    const Mutex::Guard guard = co_await mutex.lock();
    EXPECT_EQ(inside++, 0);
    try {
      for (uint32_t n = random() % 3; n > 0; --n) co_await yield();
    } catch (const Cancelled&) {
      --inside;
      throw;
    }
    --inside;
    ++done;
  }
}
Task<> storm(uint32_t seed) {
  std::mt19937 random(seed);
  Mutex mutex;
  int inside = 0;
  int done = 0;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 20; ++i) tasks.push_back(spawn(worker(mutex, inside, done, static_cast<uint32_t>(random()))));
  for (int i = 0; i < 10; ++i) {
    for (uint32_t n = random() % 20; n > 0; --n) co_await yield();
    tasks[random() % tasks.size()].cancel();
  }
  for (auto& task : tasks) {
    try {
      co_await task;
    } catch (const Cancelled&) {
    }
  }
  EXPECT_EQ(inside, 0);
  EXPECT_GE(done, 10 * 50);
  EXPECT_FALSE(mutex.locked());
}
TEST(MutexTest, CancelsAtRandom) {
  auto loop = make_loop();
  for (uint32_t seed = 1; seed <= 20; ++seed) loop->run(storm(seed));
}

}  // namespace
}  // namespace weir
