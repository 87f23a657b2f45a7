// The threads of a pool: how they end, what they leave behind, and how their records serve the next ones.
#include "weir/bridge/pool_thread.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/thread_pool.h"
#include "weir/tests/testing/own_threads.h"
#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;
using testing::threads_named;

void wait_until(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::yield();
}

class SpareThread {
 public:
  pid_t id = 0;
  std::string name;
};

// A job parks until another one, behind it, has run on a spare thread, which sleeps then, or has gone.
SpareThread use_spare_thread(ThreadPool& pool) {
  SpareThread spare;
  Gate ran, over;
  pool.submit([&] {
    const ThreadPool::Parked parked;
    ran.wait();
    wait_until([&] { return testing::is_asleep(spare.id); });
    over.open();
  });
  pool.submit([&] {
    spare.id = ::gettid();
    spare.name = internal::PoolThread::mine()->name();
    ran.open();
  });
  over.wait();
  return spare;
}

TEST(PoolThread, RecordsOfThreadsThatEndedServeTheNextOnes) {
  ThreadPool pool({.size = 1, .name = "io"});
  std::set<std::string> names;
  for (int i = 0; i < 4; ++i) {
    names.insert(use_spare_thread(pool).name);
    wait_until([] { return threads_named("io-") == 1; });
  }
  // That which ends joins those before it, so one at a time is left.
  EXPECT_EQ(names, (std::set<std::string>{"io-1", "io-2"}));
}

TEST(PoolThread, ASpareThreadStaysAWhile) {
  ThreadPool pool({.size = 1, .name = "stay"});
  std::set<pid_t> seen;
  for (int known_in_a_row = 0; known_in_a_row < 3;) {  // on a busy machine it may take some rounds more
    const bool is_new = seen.insert(use_spare_thread(pool).id).second;
    ASSERT_LT(seen.size(), 2000u);
    known_in_a_row = is_new ? 0 : known_in_a_row + 1;
    wait_until([] { return testing::all_asleep("stay-"); });
  }
}

// What a job leaves in its thread is destroyed after the thread has left its pool: it meets a plain thread.
class AtThreadEnd {
 public:
  void arm(std::atomic<int>& plain) { plain_ = &plain; }
  ~AtThreadEnd() {
    if (internal::PoolThread::mine() == nullptr && internal::ParkingWorker::current() == nullptr) ++*plain_;
  }

 private:
  std::atomic<int>* plain_ = nullptr;
};

TEST(PoolThread, ThreadLocalsAreDestroyedOutsideThePool) {
  std::atomic<int> plain = 0;
  {
    ThreadPool pool({.size = 1});
    pool.submit([&plain] {
      static thread_local AtThreadEnd object;
      object.arm(plain);
    });
    wait_until([&pool] { return pool.stats().done == 1; });
  }
  EXPECT_EQ(plain, 1);
}

std::size_t eventfds() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    count += std::filesystem::read_symlink(entry.path(), gone) == "anon_inode:[eventfd]";
  }
  return count;
}

TEST(PoolThread, AnIdleThreadKeepsNothingOfALoop) {
  ThreadPool pool({.size = 1});
  const std::size_t before = eventfds();
  {
    testing::TestLoop loop;
    const auto call = [](ThreadPool& workers) -> Task<int> {
      const auto f = threaded([] { return 1; }).on(workers);
      co_return co_await f();
    };
    EXPECT_EQ(loop.run(call(pool)), 1);
    EXPECT_GT(eventfds(), before);
  }
  wait_until([before] { return eventfds() == before; });
}

TEST(PoolThread, OnlyThreadsWithAJobAreBusy) {
  Gate go, began;
  ThreadPool pool({.size = 3, .name = "io"});
  std::string name;
  EXPECT_TRUE(pool.busy_threads().empty());
  pool.submit([&] {
    name = internal::PoolThread::mine()->name();
    began.open();
    go.wait();
  });
  began.wait();
  EXPECT_EQ(pool.busy_threads(), std::vector<std::string>{name});
  go.open();
  wait_until([&pool] { return pool.stats().done == 1; });
  EXPECT_TRUE(pool.busy_threads().empty());
}

TEST(PoolThread, AThreadOfOnePoolShutsAnotherOneDown) {
  ThreadPool first({.size = 1});
  ThreadPool second({.size = 1});
  Gate over;
  first.submit([&] {
    EXPECT_FALSE(second.wait(absl::ZeroDuration()));
    second.shutdown();
    over.open();
  });
  over.wait();
  EXPECT_THROW(second.submit([] {}), PoolClosed);
}

// abandon() names the threads that still run; those that have ended are joined.
TEST(PoolThread, AbandonNamesWhatStillRuns) {
  const auto go = std::make_shared<Gate>();
  const auto began = std::make_shared<Gate>();
  const auto name = std::make_shared<std::string>();
  {
    ThreadPool pool({.size = 2, .name = "left"});
    pool.submit([go, began, name] {
      *name = internal::PoolThread::mine()->name();
      began->open();
      go->wait();
    });
    began->wait();
    wait_until([] { return threads_named("left-") == 2; });
    pool.close();
    wait_until([] { return threads_named("left-") == 1; });
    EXPECT_EQ(pool.abandon(), std::vector<std::string>{*name});
    EXPECT_FALSE(pool.wait(absl::InfiniteDuration()));
  }
  go->open();
  wait_until([] { return threads_named("left-") == 0; });
}

// Who waits while another thread abandons the job goes on when the job has ended.
TEST(PoolThread, AbandonWhileSomebodyWaits) {
  Gate go, began;
  std::atomic<pid_t> waiting = 0;
  ThreadPool pool({.size = 1});
  pool.submit([&] {
    began.open();
    go.wait();
  });
  began.wait();
  pool.close();
  std::thread waiter([&] {
    waiting = ::gettid();
    EXPECT_TRUE(pool.wait(absl::InfiniteDuration()));
  });
  wait_until([&] { return waiting != 0 && testing::is_asleep(waiting); });
  EXPECT_EQ(pool.abandon().size(), 1u);
  go.open();
  waiter.join();
}

// A deadline beyond the end of time is none.
TEST(PoolThread, WaitingForCenturiesIsWaiting) {
  for (const absl::Duration at_most : {absl::Nanoseconds(INT64_MAX), absl::InfiniteDuration()}) {
    ThreadPool pool({.size = 1});
    Gate began;
    pool.submit([&began, here = ::gettid()] {
      began.open();
      wait_until([here] { return testing::is_asleep(here); });
    });
    began.wait();
    pool.close();
    EXPECT_TRUE(pool.wait(at_most));
  }
}

TEST(PoolThread, APoolThatIsDestroyedHasNoThreads) {
  Gate go, began;
  std::atomic<bool> ended = false;
  std::thread opener;
  {
    ThreadPool pool({.size = 1});
    pool.submit([&] {
      began.open();
      go.wait();
      ended = true;
    });
    began.wait();
    opener = std::thread([&go, &pool] {
      wait_until([&pool] {  // the destructor has begun
        try {
          pool.submit([] {});
          return false;
        } catch (const PoolClosed&) {
          return true;
        }
      });
      go.open();
    });
  }
  EXPECT_TRUE(ended);
  opener.join();
}

}  // namespace
}  // namespace weir
