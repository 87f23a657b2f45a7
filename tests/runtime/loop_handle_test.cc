#include "weir/runtime/loop_handle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/sync/event.h"

namespace weir {
namespace {

std::unique_ptr<Loop> make(const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  EXPECT_TRUE(loop.ok()) << loop.status();
  return std::move(*loop);
}

int storm_length(int full) {
  const char* const text = std::getenv("WEIR_STORM");
  const double scale = text != nullptr ? std::atof(text) : 1.0;
  return std::max(100, static_cast<int>(full * scale));
}

TEST(LoopHandle, PostsRunInOrderOnTheLoop) {
  auto loop = make();
  const LoopHandle handle = loop->handle();
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) handle.post([&order, i] { order.push_back(i); });
  EXPECT_TRUE(order.empty());
  Event done;
  handle.post([&done] { done.set(); });
  const auto wait = [&]() -> Task<> { co_await done.wait(); };
  loop->run(wait());
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(LoopHandle, ALoopConverts) {
  auto loop = make();
  const LoopHandle handle = *loop;
  EXPECT_EQ(handle, loop->handle());
  EXPECT_FALSE(handle == make()->handle());
}

TEST(LoopHandle, CurrentIsKnownOnTheLoopOnly) {
  auto loop = make();
  EXPECT_THROW((void)LoopHandle::current(), LookupError);
  const auto test = [&]() -> Task<> {
    EXPECT_EQ(LoopHandle::current(), loop->handle());
    co_return;
  };
  loop->run(test());
  EXPECT_THROW((void)LoopHandle::current(), LookupError);
}

TEST(LoopHandle, OutlivesTheLoopAndThenRefuses) {
  std::optional<LoopHandle> handle;
  {
    auto loop = make();
    handle.emplace(loop->handle());
    EXPECT_TRUE(handle->alive());
    loop->run(sleep_for(absl::ZeroDuration()));
    EXPECT_TRUE(handle->alive());
  }
  EXPECT_FALSE(handle->alive());
  bool ran = false;
  EXPECT_THROW(handle->post([&ran] { ran = true; }), LoopClosed);
  EXPECT_FALSE(ran);
}

TEST(LoopHandle, APostToALoopThatNeverRunsIsDeliveredAtItsEnd) {
  bool ran = false;
  const auto held = std::make_shared<int>();
  {
    auto loop = make();
    loop->handle().post([&] {
      ran = true;
      auto task = [held]() -> Task<> { co_await sleep_for(absl::InfiniteDuration()); };
      (void)spawn(std::move(task));
    });
  }
  EXPECT_TRUE(ran);
  EXPECT_EQ(held.use_count(), 1);  // what it spawned is gone
}

TEST(LoopHandle, WhatAPostThrowsIsReportedOnce) {
  std::vector<std::string> reports;
  LoopOptions options;
  options.on_unhandled = [](std::exception_ptr failure, std::string_view task, void* user) noexcept {
    try {
      std::rethrow_exception(failure);
    } catch (const std::runtime_error& e) {
      static_cast<std::vector<std::string>*>(user)->push_back(std::string(task) + ": " + e.what());
    }
  };
  options.on_unhandled_user = &reports;
  auto loop = make(options);
  loop->handle().post([] { throw std::runtime_error("mine"); });
  loop->run(yield());
  loop->run(sleep_for(absl::Microseconds(1)));
  EXPECT_EQ(reports, std::vector<std::string>{"post: mine"});
}

TEST(LoopHandle, APostWakesALoopThatSleeps) {
  auto loop = make();
  Event done;
  std::thread poster;
  const auto wait = [&]() -> Task<> {
    poster = std::thread([&done, handle = LoopHandle::current()] { handle.post([&done] { done.set(); }); });
    co_await done.wait();
  };
  loop->run(wait());
  poster.join();
}

// An idle loop sleeps in one enter: no turn, no system call and no wake-up until somebody has something for it.
TEST(LoopHandle, AnIdleLoopDoesNothing) {
  auto loop = make();
  const LoopHandle handle = loop->handle();
  Event done;
  LoopStats before;
  LoopStats after;
  const auto wait = [&]() -> Task<> {
    before = loop->stats();
    co_await done.wait();
    after = loop->stats();
  };
  std::atomic<bool> going{false};
  std::thread poster([&] {
    while (!going.load()) std::this_thread::yield();
    // The loop has gone to sleep, or is about to, when its enter has been counted.
    while (loop->stats().enters == 0) std::this_thread::yield();
    handle.post([&done] { done.set(); });
  });
  going.store(true);
  loop->run(wait());
  poster.join();
  EXPECT_LE(after.turns - before.turns, 2u);
  EXPECT_LE(after.enters - before.enters, 2u);
  EXPECT_LE(after.wakeups_written - before.wakeups_written, 1u);
  EXPECT_EQ(after.posts - before.posts, 1u);
  EXPECT_EQ(after.wakeups_spurious, before.wakeups_spurious);
}

// Also in the moment after a sleep, whose mark the inbox keeps.
TEST(LoopHandle, ALoopThatPostsToItselfWritesNoWakeUp) {
  auto loop = make();
  const LoopHandle handle = loop->handle();
  Event ran;
  const auto post = [&]() -> Task<> {
    for (int i = 0; i < 10; ++i) {
      co_await submit(io_uring_prep_nop);
      ran.reset();
      handle.post([&ran] { ran.set(); });
      co_await ran.wait();
    }
  };
  loop->run(post());
  EXPECT_EQ(loop->stats().posts, 10u);
  EXPECT_EQ(loop->stats().wakeups_written, 0u);
}

TEST(LoopHandle, FourThreadsStormAndNoPostIsLost) {
  auto loop = make();
  const LoopHandle handle = loop->handle();
  constexpr int kThreads = 4;
  const int each = storm_length(50'000);
  std::vector<int> next(kThreads, 0);
  int arrived = 0;
  Event done;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        handle.post([&, t, i] {
          EXPECT_EQ(next[static_cast<std::size_t>(t)]++, i);
          if (++arrived == kThreads * each) done.set();
        });
        if (i % 64 == 0) std::this_thread::yield();  // so that the loop gets to sleep now and then
      }
    });
  }
  const auto wait = [&]() -> Task<> { co_await done.wait(); };
  loop->run(wait());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(arrived, kThreads * each);
  const LoopStats stats = loop->stats();
  EXPECT_EQ(stats.posts, static_cast<uint64_t>(kThreads * each));
  EXPECT_EQ(stats.wakeups_written + stats.wakeups_saved, stats.posts);
}

// Each post that did not throw has run by the time that the loop is destroyed; each that threw never runs.
TEST(LoopHandle, PostsWhileTheLoopGoesRunOrThrow) {
  const int rounds = std::max(5, storm_length(200) / 4);
  for (int round = 0; round < rounds; ++round) {
    auto loop = make({.sq_entries = 8, .cq_entries = 16});
    std::atomic<int> accepted{0};
    std::atomic<int> ran{0};
    std::atomic<int> started{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, handle = loop->handle()] {
        started.fetch_add(1);
        try {
          for (;;) {
            handle.post([&ran] { ran.fetch_add(1); });
            accepted.fetch_add(1);
          }
        } catch (const LoopClosed&) {
        }
      });
    }
    while (started.load() != 3) std::this_thread::yield();
    if (round % 2 == 0) loop->run(sleep_for(absl::Microseconds(50)));
    loop.reset();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(accepted.load(), ran.load());
  }
}

// Handles of tasks are cancelled and dropped on other threads while the loop runs, goes, and is gone.
TEST(LoopHandle, TasksAreCancelledAndDroppedFromOtherThreads) {
  const int rounds = std::max(5, storm_length(400) / 4);
  for (int round = 0; round < rounds; ++round) {
    auto loop = make({.sq_entries = 8, .cq_entries = 16});
    std::vector<JoinHandle<void>> handles(40);
    const auto start = [&]() -> Task<> {
      for (auto& handle : handles) handle = spawn(sleep_for(absl::Microseconds(20)));
      co_await yield();
    };
    loop->run(start());
    std::atomic<int> started{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        started.fetch_add(1);
        for (std::size_t i = t; i < handles.size(); i += 2) {
          handles[i].cancel();
          const JoinHandle<void> dropped(std::move(handles[i]));
        }
      });
    }
    while (started.load() == 0) std::this_thread::yield();
    loop->run(sleep_for(absl::Microseconds(round % 50)));
    loop.reset();
    for (std::thread& thread : threads) thread.join();
  }
}

// on(): each way is a push onto another loop, and each loop may end right after it has got its answer.
TEST(LoopHandle, CallsBetweenLoopsWhileBothComeAndGo) {
  const int rounds = std::max(5, storm_length(400) / 4);
  for (int round = 0; round < rounds; ++round) {
    auto there = make({.sq_entries = 8, .cq_entries = 16});
    const LoopHandle handle = there->handle();
    std::atomic<bool> asked{false};
    std::thread other([&] {
      auto here = make({.sq_entries = 8, .cq_entries = 16});
      const auto remote = [](int n) -> Task<int> { co_return n + 1; };
      const auto ask = [&]() -> Task<> {
        for (int i = 0;; ++i) {
          const int answer = co_await on(handle, remote, i);
          EXPECT_EQ(answer, i + 1);
          asked.store(true);
        }
      };
      EXPECT_THROW(here->run(ask()), LoopClosed);
    });
    const auto serve = [&]() -> Task<> {
      while (!asked.load()) co_await sleep_for(absl::Microseconds(10));
    };
    there->run(serve());
    there.reset();
    other.join();
  }
}

// A call that a closed loop refused leaves nothing behind in the task that made it.
TEST(LoopHandle, ATaskIsCancelledAfterItsCallWasRefused) {
  auto loop = make();
  const LoopHandle gone = make()->handle();
  const auto remote = []() -> Task<int> { co_return 1; };
  JoinHandle<void> handle;
  bool refused = false;
  const auto test = [&]() -> Task<> {
    try {
      (void)co_await on(gone, remote);
    } catch (const LoopClosed&) {
      refused = true;
    }
    handle.cancel();  // itself
    co_await yield();
  };
  const auto outer = [&]() -> Task<> {
    handle = spawn(test());
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop->run(outer());
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace weir
