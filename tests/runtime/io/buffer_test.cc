#include "weir/runtime/io/buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/io/registered_buffers.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/scripted_loop.h"
#include "weir/tests/testing/sockets.h"
#include "weir/tests/testing/threads.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing
using tests::make_loop;
using tests::settle;

void fill(Buffer& buffer, int value) { std::memset(buffer.data(), value, buffer.size()); }

TEST(Buffer, IsEmptyAtFirst) {
  Buffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.capacity(), 0u);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(as_text(buffer), "");
  buffer.resize(0);
  EXPECT_THROW(buffer.resize(1), std::logic_error);
}

TEST(Buffer, ShrinksAndGrowsWithinItsBlock) {
  auto loop = make_loop();
  BufferPool pool = BufferPool::create(*loop, {.count = 1, .size = 10}).value();
  loop->run([](BufferPool& from) -> Task<> {
    Buffer buffer = co_await from.acquire();
    EXPECT_EQ(buffer.size(), 10u);
    std::memcpy(buffer.data(), "0123456789", 10);
    buffer.resize(6);
    buffer.remove_prefix(2);
    EXPECT_EQ(as_text(buffer), "2345");
    EXPECT_EQ(buffer.capacity(), 8u);
    buffer.resize(8);
    EXPECT_EQ(as_text(buffer), "23456789");
    EXPECT_THROW(buffer.resize(9), std::logic_error);
    EXPECT_THROW(buffer.remove_prefix(9), std::logic_error);
    const Buffer moved = std::move(buffer);
    EXPECT_TRUE(buffer.empty());  // NOLINT: what a move leaves is defined
    EXPECT_EQ(moved.span().size(), 8u);
  }(pool));
}

TEST(BufferPool, ChecksItsOptions) {
  auto loop = make_loop();
  EXPECT_EQ(BufferPool::create(*loop, {.count = 0}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BufferPool::create(*loop, {.size = 0}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BufferPool::create(*loop, {.alignment = 3}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BufferPool::create(*loop, {.alignment = 0}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BufferPool, AlignsEachBlock) {
  auto loop = make_loop();
  BufferPool pool = BufferPool::create(*loop, {.count = 3, .size = 100, .alignment = 8192}).value();
  loop->run([](BufferPool& from) -> Task<> {
    std::vector<Buffer> buffers;
    for (int i = 0; i < 3; ++i) {
      buffers.push_back(co_await from.acquire());
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffers.back().data()) % 8192, 0u);
      EXPECT_EQ(buffers.back().size(), 100u);
      fill(buffers.back(), i);
    }
    for (int i = 0; i < 3; ++i) EXPECT_EQ(buffers[i].data()[99], std::byte(i));  // each is its own
  }(pool));
}

TEST(BufferPool, ServesFirstInFirstOut) {
  auto loop = make_loop();
  BufferPool pool = BufferPool::create(*loop, {.count = 1, .size = 64}).value();
  loop->run([](BufferPool& from) -> Task<> {
    std::optional<Buffer> held = co_await from.acquire();
    std::vector<int> order;
    std::vector<JoinHandle<void>> tasks;
    for (int i = 0; i < 4; ++i) {
      auto take = [](BufferPool& here, std::vector<int>& into, int number) -> Task<> {
        const Buffer buffer = co_await here.acquire();
        into.push_back(number);
        co_await yield();
      };
      tasks.push_back(spawn(take(from, order, i)));
    }
    co_await settle();
    EXPECT_EQ(from.stats().waiting, 4u);
    EXPECT_EQ(from.stats().free, 0u);
    tasks[1].cancel();
    held.reset();
    co_await tasks[0];
    co_await tasks[2];
    co_await tasks[3];
    EXPECT_THROW(co_await tasks[1], Cancelled);
    EXPECT_EQ(order, (std::vector<int>{0, 2, 3}));
    const BufferPoolStats stats = from.stats();
    EXPECT_EQ(stats.count, 1u);
    EXPECT_EQ(stats.free, 1u);
    EXPECT_EQ(stats.leased, 0u);
    EXPECT_EQ(stats.waiting, 0u);
    EXPECT_EQ(stats.acquired, 4u);
    EXPECT_EQ(stats.waited, 3u);
    EXPECT_EQ(stats.returned_elsewhere, 0u);
  }(pool));
}

// One that has its block already, and is cancelled before it runs: the block is not lost.
TEST(BufferPool, ACancelAfterTheGrantLosesNothing) {
  auto loop = make_loop();
  BufferPool pool = BufferPool::create(*loop, {.count = 1, .size = 64}).value();
  loop->run([](BufferPool& from) -> Task<> {
    std::optional<Buffer> held = co_await from.acquire();
    auto take = [](BufferPool& here) -> Task<> { const Buffer buffer = co_await here.acquire(); };
    auto task = spawn(take(from));
    co_await settle();
    held.reset();
    task.cancel();
    co_await task;  // it got what was its own
    EXPECT_EQ(from.stats().free, 1u);
  }(pool));
}

TEST(BufferPool, ABlockFreedOnAnotherThreadWakesTheLoop) {
  auto loop = make_loop();
  BufferPool pool = BufferPool::create(*loop, {.count = 2, .size = 64}).value();
  loop->run([](BufferPool& from) -> Task<> {
    std::vector<Buffer> held;
    for (int i = 0; i < 2; ++i) held.push_back(co_await from.acquire());
    Gate go;
    std::thread thread([&go, buffers = std::move(held)]() mutable {
      go.wait();
      buffers.clear();
    });
    auto open = [](Gate& gate) -> Task<> {
      gate.open();
      co_return;
    };
    auto opening = spawn(open(go));
    const Buffer first = co_await from.acquire();  // the loop sleeps until the thread lets go
    const Buffer second = co_await from.acquire();
    EXPECT_NE(first.data(), second.data());
    EXPECT_EQ(from.stats().returned_elsewhere, 2u);
    thread.join();
  }(pool));
}

// Blocks go round between the loop and threads: none is lost, none is lent twice.
TEST(BufferPool, SurvivesAStormOfThreads) {
  constexpr int kThreads = 3;
  auto loop = make_loop();
  BufferPool pool = BufferPool::create(*loop, {.count = 5, .size = 64}).value();
  struct Desk {
    std::mutex mutex;
    std::vector<Buffer> buffers;
    bool over = false;
  } desk;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&desk, i] {
      for (;;) {
        std::optional<Buffer> mine;
        bool over = false;
        {
          const std::lock_guard lock(desk.mutex);
          over = desk.over;
          if (!desk.buffers.empty()) {
            mine = std::move(desk.buffers.back());
            desk.buffers.pop_back();
          }
        }
        if (mine) {
          fill(*mine, i);
          for (const std::byte byte : mine->span()) EXPECT_EQ(byte, std::byte(i));
        } else if (over) {
          return;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  auto lend = [](BufferPool& from, Desk& to) -> Task<> {
    for (int i = 0; i < storm(3000); ++i) {
      Buffer buffer = co_await from.acquire();
      fill(buffer, 77);
      if (i % 3 == 0) continue;  // dropped here
      const std::lock_guard lock(to.mutex);
      to.buffers.push_back(std::move(buffer));
    }
  };
  auto both = [&lend](BufferPool& from, Desk& to) -> Task<> {
    auto one = spawn(lend(from, to));
    auto other = spawn(lend(from, to));
    co_await one;
    co_await other;
  };
  loop->run(both(pool, desk));
  {
    const std::lock_guard lock(desk.mutex);
    desk.over = true;
  }
  for (std::thread& thread : threads) thread.join();
  desk.buffers.clear();
  loop->run([](BufferPool& from) -> Task<> {
    std::vector<Buffer> all;
    for (int i = 0; i < 5; ++i) all.push_back(co_await from.acquire());
    EXPECT_EQ(from.stats().free, 0u);
    EXPECT_EQ(from.stats().leased, 5u);
  }(pool));
}

Buffer acquire_one(Loop& loop, BufferPool& pool) {
  return loop.run([](BufferPool& from) -> Task<Buffer> { co_return co_await from.acquire(); }(pool));
}

TEST(BufferPool, LeasesOutliveThePool) {
  auto loop = make_loop();
  std::optional<BufferPool> pool = BufferPool::create(*loop, {.count = 3, .size = 64}).value();
  Buffer here = acquire_one(*loop, *pool);
  Buffer there = acquire_one(*loop, *pool);
  pool.reset();
  fill(here, 1);
  fill(there, 2);
  auto drop = [](Buffer buffer) -> Task<> {
    EXPECT_EQ(buffer.data()[0], std::byte(1));
    co_return;
  };
  loop->run(drop(std::move(here)));
  std::thread([&there] {
    EXPECT_EQ(there.data()[63], std::byte(2));
    const Buffer last = std::move(there);
  }).join();
}

TEST(BufferPool, LeasesAndPoolOutliveTheLoop) {
  auto loop = make_loop();
  BufferPool pool = BufferPool::create(*loop, {.count = 3, .size = 64}).value();
  Buffer first = acquire_one(*loop, pool);
  Buffer second = acquire_one(*loop, pool);
  loop.reset();
  fill(first, 1);
  fill(second, 2);
  EXPECT_EQ(pool.stats().leased, 2u);
  std::thread([&first] { const Buffer last = std::move(first); }).join();
  auto other = make_loop();
  auto acquire = [](BufferPool& from) -> Task<> {
    EXPECT_THROW((void)co_await from.acquire(), std::logic_error);
  };
  other->run(acquire(pool));
  EXPECT_EQ(second.data()[0], std::byte(2));
}

// The loop ends, the pool goes and the leases are dropped, all at once.
TEST(BufferPool, EverythingEndsAtOnce) {
  for (int round = 0; round < storm(50); ++round) {
    auto loop = make_loop();
    auto pool = std::make_unique<BufferPool>(BufferPool::create(*loop, {.count = 4, .size = 64}).value());
    std::vector<Buffer> buffers;
    for (int i = 0; i < 4; ++i) buffers.push_back(acquire_one(*loop, *pool));
    Gate go;
    std::thread dropper([&] {
      go.wait();
      buffers.clear();
    });
    std::thread owner([&] {
      go.wait();
      pool.reset();
    });
    go.open();
    loop.reset();
    dropper.join();
    owner.join();
  }
}

TEST(BufferPool, DroppedOnAnotherThreadItTellsWhoWaits) {
  auto loop = make_loop();
  auto pool = std::make_unique<BufferPool>(BufferPool::create(*loop, {.count = 1, .size = 64}).value());
  loop->run([](std::unique_ptr<BufferPool>& from) -> Task<> {
    Buffer held = co_await from->acquire();
    auto take = [](BufferPool& here) -> Task<> { (void)co_await here.acquire(); };
    auto waiting = spawn(take(*from));
    co_await settle();
    std::thread thread([&from] { from.reset(); });
    EXPECT_THROW(co_await waiting, std::logic_error);
    thread.join();
    fill(held, 3);
  }(pool));
}

TEST(BufferPool, MayGoBeforeItsAcquireIsAwaited) {
  on_loop([]() -> Task<> {
    auto pool = std::make_unique<BufferPool>(BufferPool::create(Loop::current(), {.count = 1, .size = 64}).value());
    auto acquiring = spawn(pool->acquire());
    pool.reset();
    EXPECT_THROW((void)co_await acquiring, std::logic_error);
  });
}

TEST(BufferPool, BelongsToOneLoop) {
  auto mine = make_loop();
  auto other = make_loop();
  BufferPool pool = BufferPool::create(*mine, {.count = 1, .size = 64}).value();
  auto acquire = [](BufferPool& from) -> Task<> {
    EXPECT_THROW((void)co_await from.acquire(), std::logic_error);
  };
  other->run(acquire(pool));
  const BufferPool moved = std::move(pool);
  EXPECT_THROW((void)pool.acquire(), std::logic_error);  // NOLINT: what a move leaves is defined
}

TEST(BufferPool, RegistersWhatTheKernelTakes) {
  auto loop = make_loop();
  std::vector<BufferPool> pools;
  for (int i = 0; i < weir::internal::RegisteredBuffers::kSlots + 2; ++i) {
    pools.push_back(BufferPool::create(*loop, {.count = 2, .size = 4096}).value());
  }
  const bool kernel_registers = pools[0].stats().registered;
  EXPECT_FALSE(pools.back().stats().registered);  // no slot is left
  if (!kernel_registers) GTEST_SKIP() << "this kernel, or the memlock limit, registers no buffers";
  auto drop = [](std::vector<BufferPool>& from) -> Task<> {
    from.erase(from.begin());
    co_return;
  };
  loop->run(drop(pools));
  EXPECT_TRUE(BufferPool::create(*loop, {.count = 2, .size = 4096}).value().stats().registered);
  EXPECT_FALSE(BufferPool::create(*loop, {.count = 2, .size = 4096, .registered = false}).value().stats().registered);
}

// A kernel that refuses: the pool works without.
TEST(BufferPool, IsPlainWhereTheKernelRefuses) {
  ScriptedLoop scripted;
  scripted.ring.on_register = [](unsigned opcode, void*, unsigned) {
    return opcode == IORING_REGISTER_BUFFERS ? -ENOMEM : 0;
  };
  BufferPool pool = BufferPool::create(*scripted, {.count = 1, .size = 64}).value();
  EXPECT_FALSE(pool.stats().registered);
  Buffer buffer = acquire_one(*scripted, pool);
  EXPECT_EQ(weir::internal::BufferAccess::registered_slot(buffer), -1);
}

TEST(BufferPool, IsFair) {
  auto loop = make_loop();
  BufferPool pool = BufferPool::create(*loop, {.count = 1, .size = 64}).value();
  loop->run([](BufferPool& from) -> Task<> {
    bool ran = false;
    auto other = [](bool& done) -> Task<> {
      done = true;
      co_return;
    };
    auto task = spawn(other(ran));
    int rounds = 0;
    while (!ran) {  // always ready, and yet the other gets its turn
      const Buffer buffer = co_await from.acquire();
      ++rounds;
    }
    EXPECT_LT(rounds, 1000);
    co_await task;
  }(pool));
}

}  // namespace
}  // namespace weir
