// JoinHandles that other threads cancel, drop and await.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime/join.h"
#include "weir/runtime/task.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using testing::storm;
using testing::TestLoop;

Task<> forever() { co_await sleep_for(absl::InfiniteDuration()); }

TEST(JoinThreadsTest, CancelledFromAnotherThread) {
  TestLoop loop;
  std::thread thread;
  const auto body = [&]() -> Task<> {
    auto handle = spawn(forever());
    thread = std::thread([&handle] { handle.cancel(); });
    EXPECT_THROW(co_await handle, Cancelled);
    thread.join();
  };
  loop.run(body());
}

TEST(JoinThreadsTest, AwaitedOnAnotherLoopIsALogicError) {
  TestLoop loop;
  JoinHandle<> handle;
  const auto start = [&]() -> Task<> {
    handle = spawn(forever());
    co_return;
  };
  loop.run(start());
  std::thread([&] {
    TestLoop other;
    const auto wait = [&]() -> Task<> { co_await handle; };
    EXPECT_THROW(other.run(wait()), std::logic_error);
  }).join();
}

// Says where it is destroyed; moved-from ones do not count.
class Tells {
 public:
  explicit Tells(std::atomic<std::thread::id>& where) : where_(&where) {}
  Tells(Tells&& other) noexcept : where_(std::exchange(other.where_, nullptr)) {}
  ~Tells() {
    if (where_ != nullptr) where_->store(std::this_thread::get_id());
  }

 private:
  std::atomic<std::thread::id>* where_;
};

TEST(JoinThreadsTest, WhatAnotherThreadDropsEndsOnItsLoop) {
  TestLoop loop;
  std::atomic<std::thread::id> where{};
  JoinHandle<Tells> handle;
  const auto body = [&]() -> Task<> {
    handle = spawn([&where]() -> Task<Tells> { co_return Tells(where); });
    while (!handle.done()) co_await yield();
    std::thread([&handle] { handle = JoinHandle<Tells>(); }).join();
    EXPECT_EQ(where.load(), std::thread::id());  // on its way
    while (where.load() == std::thread::id()) co_await yield();
  };
  loop.run(body());
  EXPECT_EQ(where.load(), std::this_thread::get_id());
}

TEST(JoinThreadsTest, AHandleDroppedAfterItsLoopEndsWhereItIs) {
  TestLoop loop;
  std::atomic<std::thread::id> where{};
  JoinHandle<Tells> handle;
  const auto body = [&]() -> Task<> {
    handle = spawn([&where]() -> Task<Tells> { co_return Tells(where); });
    while (!handle.done()) co_await yield();
  };
  loop.run(body());
  loop.destroy();
  std::thread other([&handle] { handle = JoinHandle<Tells>(); });
  const std::thread::id id = other.get_id();
  other.join();
  EXPECT_EQ(where.load(), id);
}

// The handle is gone, and the task has ended, before the cancel of another thread is delivered.
TEST(JoinThreadsTest, ACancelOnItsWayOutlivesTheHandle) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    for (const bool ends_first : {false, true}) {
      bool cancelled = false;
      const auto work = [&cancelled, ends_first]() -> Task<> {
        if (ends_first) co_return;
        try {
          co_await forever();
        } catch (const Cancelled&) {
          cancelled = true;
          throw;
        }
      };
      JoinHandle<> handle = spawn(work());
      while (ends_first && !handle.done()) co_await yield();
      if (!ends_first) co_await yield();  // it waits
      std::thread([&handle] {
        handle.cancel();
        handle.cancel();
      }).join();
      handle = JoinHandle<>();
      bool delivered = false;  // what was sent before
      LoopHandle::current().post([&delivered] { delivered = true; });
      while (!delivered) co_await yield();
      co_await yield();
      EXPECT_EQ(cancelled, !ends_first);
    }
  };
  loop.run(body());
}

// Handles are cancelled and dropped by other threads while their tasks start, run, fail and end.
TEST(JoinThreadsTest, Storm) {
  constexpr int kThreads = 3;
  const int rounds = storm(3000);
  TestLoop loop;
  std::atomic<JoinHandle<std::string>*> slots[kThreads] = {};
  std::atomic<bool> over{false};
  std::atomic<int> dropped{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      std::minstd_rand random(static_cast<unsigned>(i) + 1);
      while (true) {
        JoinHandle<std::string>* const handle = slots[i].exchange(nullptr, std::memory_order_acquire);
        if (handle == nullptr) {
          if (over.load(std::memory_order_acquire) && slots[i].load() == nullptr) return;
          std::this_thread::yield();
          continue;
        }
        if (random() % 2 == 0) handle->cancel();
        if (random() % 4 == 0) handle->cancel();
        delete handle;
        dropped.fetch_add(1);
      }
    });
  }
  int failures = 0;
  const auto work = [&](int number) -> Task<std::string> {
    for (int i = number % 5; i > 0; --i) co_await yield();
    if (number % 7 == 0) {
      ++failures;
      throw std::runtime_error("storm");
    }
    if (number % 3 == 0) co_await sleep_for(absl::Microseconds(50));
    co_return std::string(50, 'x');
  };
  int given = 0;
  const auto body = [&]() -> Task<> {
    for (int number = 0; number < rounds; ++number) {
      auto handle = std::make_unique<JoinHandle<std::string>>(spawn(work(number), "storm"));
      JoinHandle<std::string>* expected = nullptr;
      if (slots[number % kThreads].compare_exchange_strong(expected, handle.get())) {
        (void)handle.release();
        ++given;
      }
      if (number % 2 == 0) co_await yield();
    }
  };
  loop.run(body());
  over.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();
  loop.destroy();
  EXPECT_EQ(dropped.load(), given);
  EXPECT_EQ(loop.reports().size(), static_cast<size_t>(failures));
}

}  // namespace
}  // namespace weir
