// Pools where the system gives no thread.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "weir/bridge/pool_thread.h"
#include "weir/bridge/thread_pool.h"
#include "weir/runtime/frame.h"
#include "weir/tests/testing/own_threads.h"
#include "weir/tests/testing/threads.h"

namespace {

// Called in each allocation of a thread's record, just before the thread is made.
std::function<void()>* before_record = nullptr;

}  // namespace

// Under a sanitizer its own operators stay.
#if WEIR_RECYCLE_FRAMES
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (before_record != nullptr && size == sizeof(weir::internal::PoolThread)) (*before_record)();
  const auto to = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(to, (size + to - 1) / to * to);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif

namespace weir {
namespace {

using testing::Gate;
using testing::NoNewThreads;

#if WEIR_RECYCLE_FRAMES
constexpr bool kSeesRecords = true;
#else
constexpr bool kSeesRecords = false;
#endif

// What is done before the n-th record is made, n from 0.
class BeforeRecord {
 public:
  BeforeRecord(int n, std::function<void()> action)
      : hook_([this, n, act = std::move(action)] {
          if (count_++ == n) act();
        }) {
    before_record = &hook_;
  }
  BeforeRecord(const BeforeRecord&) = delete;
  BeforeRecord& operator=(const BeforeRecord&) = delete;
  ~BeforeRecord() { before_record = nullptr; }

 private:
  std::atomic<int> count_{0};
  std::function<void()> hook_;
};

void wait_until(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::yield();
}

TEST(NoThreads, APoolThatCannotBeMadeEndsTheThreadsItHas) {
  if (!kSeesRecords) GTEST_SKIP() << "a sanitizer's operator new";
  for (int made = 0; made < 4; ++made) {
    std::optional<NoNewThreads> none;
    const BeforeRecord hook(made, [&none] { none.emplace(); });
    EXPECT_THROW(ThreadPool({.size = 4, .name = "few"}), std::system_error);
    wait_until([] { return testing::threads_named("few-") == 0; });
  }
}

TEST(NoThreads, TheLargestPoolIsTriedAndALargerOneRefused) {
  const NoNewThreads none;
  EXPECT_THROW(ThreadPool({.size = ThreadPool::kSizeMax}), std::system_error);
  EXPECT_THROW(ThreadPool({.size = ThreadPool::kSizeMax + 1}), std::invalid_argument);
}

TEST(NoThreads, APoolThatHasNoMemoryForItselfEndsTheThreadsItHas) {
  if (!kSeesRecords) GTEST_SKIP() << "a sanitizer's operator new";
  const BeforeRecord hook(2, [] { throw std::bad_alloc(); });
  EXPECT_THROW(ThreadPool({.size = 4, .name = "few"}), std::bad_alloc);
  wait_until([] { return testing::threads_named("few-") == 0; });
}

// Work that only a spare thread could do waits for the parked worker, and the pool says so, once. Later there are threads
// again, and they are named as if nothing had happened.
TEST(NoThreads, WithoutASpareThreadWorkWaitsForAParkedWorker) {
  ::testing::internal::CaptureStderr();
  Gate parked, go, ran;
  {
    ThreadPool pool({.size = 1, .name = "io"});
    pool.submit([&] {
      const ThreadPool::Parked waits;
      parked.open();
      go.wait();
    });
    parked.wait();
    {
      const NoNewThreads none;
      pool.submit([] {});
      pool.submit([&ran] { ran.open(); });
    }
    EXPECT_EQ(pool.stats().spare, 0u);
    EXPECT_EQ(pool.stats().queued, 2u);
    go.open();
    ran.wait();

    Gate inner;
    std::string name;
    pool.submit([&] {
      const ThreadPool::Parked waits;
      inner.wait();
    });
    pool.submit([&] {
      name = internal::PoolThread::mine()->name();
      inner.open();
    });
    inner.wait();
    pool.shutdown();
    EXPECT_EQ(name, "io-1");
  }
  const std::string lines = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(lines.starts_with("weir: pool io: no spare thread (")) << lines;
  EXPECT_EQ(lines.find("weir:", 1), std::string::npos) << lines;
}

// Whoever submits while a spare thread is being made relies on it. When it is not made, another one is woken.
TEST(NoThreads, WhoeverReliedOnASpareThreadIsNotLeftBehind) {
  if (!kSeesRecords) GTEST_SKIP() << "a sanitizer's operator new";
  ::testing::internal::CaptureStderr();
  {
    Gate parked, go, busy, done, last_ran;
    std::atomic<pid_t> second = 0;
    ThreadPool pool({.size = 2, .name = "two"});
    pool.submit([&] {
      const ThreadPool::Parked waits;
      parked.open();
      go.wait();
    });
    parked.wait();
    pool.submit([&] {
      second = ::gettid();
      busy.open();
      done.wait();
    });
    busy.wait();
    {
      std::optional<NoNewThreads> none;
      const BeforeRecord hook(0, [&] {
        none.emplace();
        done.open();  // the second worker takes the job that the spare thread was to have, and goes to sleep
        wait_until([&] { return pool.stats().done == 2 && testing::is_asleep(second); });
        pool.submit([&last_ran] { last_ran.open(); });
      });
      pool.submit([] {});
    }
    last_ran.wait();
    go.open();
  }
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("no spare thread"), std::string::npos);
}

}  // namespace
}  // namespace weir
