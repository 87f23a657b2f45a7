// The end of a loop, with whatever the bridge has going for it.
#include "weir/bridge/loop_annex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Count;
using testing::Gate;

TEST(LoopAnnex, D20_QueuedJobsFailAndRunningOnesAreWaitedFor) {
  std::atomic<int> pool_closed = 0, ended = 0;
  Gate go;
  LoopOptions options;
  options.on_unhandled = [](std::exception_ptr failure, std::string_view, void* user) noexcept {
    try {
      std::rethrow_exception(failure);
    } catch (const PoolClosed&) {
      ++*static_cast<std::atomic<int>*>(user);
    } catch (...) {
      ADD_FAILURE();
    }
  };
  options.on_unhandled_user = &pool_closed;
  std::thread opener;
  {
    auto loop = tests::make_loop(options);
    internal::BridgeAnnex::of(internal::LoopAccess::engine(*loop)).set_pool_size(1);
    loop->run([](Gate& open, std::atomic<int>& over) -> Task<> {
      Gate began;
      auto blocker = threaded([&] {
        began.open();
        open.wait();
        ++over;
      });
      auto never = threaded([&over] { over = 100; });
      blocker().detach();
      began.wait();
      for (int i = 0; i < 10; ++i) never().detach();
      co_return;
    }(go, ended));
    // The queued ones fail first, while the running one is held.
    opener = std::thread([&] {
      while (pool_closed < 10) std::this_thread::yield();
      go.open();
    });
  }
  opener.join();
  EXPECT_EQ(pool_closed, 10);
  EXPECT_EQ(ended, 1);
}

Task<> leave_streams(std::vector<IteratorWrapper<int>>& held, std::atomic<int>& alive) {
  const auto endless = [&alive](Sink<int>& sink) {
    ++alive;
    try {
      for (int i = 0;; ++i) sink.put(i);
    } catch (const ChannelClosed&) {
      --alive;
    }
  };
  for (const std::size_t max_size : {1, 2, 100}) {
    held.push_back(threaded_iterable(endless, {.max_size = max_size})());
    EXPECT_EQ(co_await held.back().next(), 0);
  }
  held.push_back(threaded_iterable(endless)());  // never started
  held.push_back(threaded_iterable(endless, {.max_size = 1})());
  EXPECT_EQ(co_await held.back().next(), 0);
  (void)held.back().close();
}
TEST(LoopAnnex, D05_StreamsInEachStateEndWithTheLoop) {
  for (int i = 0; i < testing::storm(20); ++i) {
    std::atomic<int> alive = 0;
    std::vector<IteratorWrapper<int>> held;
    run(leave_streams(held, alive));
    EXPECT_EQ(alive, 0);
  }
}

TEST(LoopAnnex, N08_AJobThatWaitsForTheLoopIsReleasedByItsEnd) {
  for (int i = 0; i < testing::storm(20); ++i) {
    std::atomic<int> released = 0;
    run([](std::atomic<int>& count) -> Task<> {
      Gate began;
      auto f = threaded([&] {
        try {
          sync_await([&began]() -> Task<> {
            began.open();
            Event never;
            co_await never.wait();
          });
        } catch (const LoopClosed&) {
          ++count;
        }
      });
      f().detach();
      while (!began.is_open()) co_await yield();
    }(released));
    EXPECT_EQ(released, 1);
  }
}

TEST(LoopAnnex, AProducerThatWaitsForTheLoopIsReleasedByItsEnd) {
  std::atomic<int> reports = 0;
  LoopOptions options;
  options.on_unhandled = [](std::exception_ptr, std::string_view, void* user) noexcept {
    ++*static_cast<std::atomic<int>*>(user);
  };
  options.on_unhandled_user = &reports;
  std::unique_ptr<IteratorWrapper<int>> held;
  auto loop = tests::make_loop(options);
  loop->run([](std::unique_ptr<IteratorWrapper<int>>& out) -> Task<> {
    out = std::make_unique<IteratorWrapper<int>>([](Sink<int>& sink) {
      sink.put(1);
      for (;;) sync_await(yield());
    });
    EXPECT_EQ(co_await out->next(), 1);
  }(held));
  loop.reset();
  EXPECT_EQ(reports, 0);
}

TEST(LoopAnnex, S09_WhatDoesNotEndIsNamedAndAbandoned) {
  Gate go, over;
  ::testing::internal::CaptureStderr();
  {
    auto loop = tests::make_loop();
    internal::BridgeAnnex::of(internal::LoopAccess::engine(*loop)).set_patience(absl::Milliseconds(5));
    loop->run([](Gate& open, Gate& ended) -> Task<> {
      Gate began;
      auto f = threaded([&, begin = &began] {
        begin->open();
        open.wait();
        ended.open();
      });
      f().detach();
      began.wait();
      co_return;
    }(go, over));
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("1 of its jobs"), std::string::npos) << text;
  EXPECT_NE(text.find("pool-"), std::string::npos) << text;
  go.open();
  over.wait();
}

TEST(LoopAnnex, S08_D20_OnAForeignPoolARunningJobOutlivesTheLoopAndQueuedOnesAreNotCalled) {
  ThreadPool pool({.size = 1});
  Gate go;
  Count ended;
  {
    auto loop = tests::make_loop();
    internal::BridgeAnnex::of(internal::LoopAccess::engine(*loop)).set_patience(absl::ZeroDuration());
    ::testing::internal::CaptureStderr();
    loop->run([](ThreadPool& workers, Gate& open, Count& over) -> Task<> {
      Gate began;
      auto f = threaded([&, begin = &began] {
        begin->open();
        open.wait();
        over.add();
        return std::string(100, 'x');
      }).on(workers);
      for (int i = 0; i < 3; ++i) f().detach();
      began.wait();
      co_return;
    }(pool, go, ended));
  }
  (void)::testing::internal::GetCapturedStderr();
  go.open();
  ended.wait_for(1);
  while (pool.stats().done < 3) std::this_thread::yield();
  EXPECT_EQ(ended.value(), 1);
  pool.shutdown();
}

// What is dropped behind the end of its loop is not reported to a hook that may be gone with the loop.
TEST(LoopAnnex, T02_AFailureThatIsDroppedAfterTheLoopGoesToStderr) {
  std::optional<Call<void>> kept;
  {
    std::atomic<int> reported = 0;
    LoopOptions options;
    options.on_unhandled = [](std::exception_ptr, std::string_view, void* user) noexcept { ++*static_cast<std::atomic<int>*>(user); };
    options.on_unhandled_user = &reported;
    auto loop = tests::make_loop(options);
    loop->run([](std::optional<Call<void>>& call) -> Task<> {
      call.emplace(threaded([] { throw std::runtime_error("nobody awaits it"); })());
      co_return;
    }(kept));
    loop.reset();
    EXPECT_EQ(reported, 0);
  }
  ::testing::internal::CaptureStderr();
  kept.reset();
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("weir: unhandled exception in task 'threaded': "), std::string::npos) << text;
}

// Also of a pool that the loop shares: what is queued there runs, and the loop waits for it.
TEST(LoopAnnex, T02_D20_CallsOnASharedPoolRunBeforeTheLoopIsGone) {
  ThreadPool pool({.size = 1});
  std::atomic<int> ran = 0;
  run([](ThreadPool& workers, std::atomic<int>& count) -> Task<> {
    const auto f = threaded([&count] { ++count; }).on(workers);
    for (int i = 0; i < 10; ++i) f().detach();
    co_return;
  }(pool, ran));
  EXPECT_EQ(ran, 10);
}

// Nobody waits for a job that was withdrawn while it was queued, the end of its loop neither.
TEST(LoopAnnex, D20_AWithdrawnJobDoesNotKeepItsLoop) {
  ThreadPool pool({.size = 1});
  Gate began, go;
  pool.submit([&] {
    began.open();
    go.wait();
  });
  began.wait();
  std::atomic<int> ran{0};
  run([](ThreadPool& workers, std::atomic<int>& count) -> Task<> {
    const auto f = threaded([&count] { ++count; }).on(workers);
    EXPECT_FALSE((co_await timeout(absl::Milliseconds(1), f())).ok());
  }(pool, ran));
  go.open();  // the loop has gone before
  pool.shutdown();
  EXPECT_EQ(ran, 0);
}

TEST(LoopAnnex, AStormOfEnds) {
  for (int i = 0; i < testing::storm(50); ++i) {
    auto loop = tests::make_loop();
    std::thread outside([handle = loop->handle()] {
      try {
        for (;;) sync_wait_coroutine(handle, []() -> Task<> { co_await yield(); });
      } catch (const LoopClosed&) {
      }
    });
    loop->run([](int seed) -> Task<> {
      auto f = threaded([](std::stop_token) { return std::string(50, 'x'); });
      for (int n = 0; n < seed % 5; ++n) {
        if (n % 2 == 0) {
          auto it = threaded_iterable([](Sink<int>& sink) {
            for (int item = 0;; ++item) sink.put(item);
          }, {.max_size = 1})();
          co_await it.next();
        } else {
          EXPECT_EQ((co_await f()).size(), 50u);
        }
      }
    }(i));
    loop.reset();
    outside.join();
  }
}

}  // namespace
}  // namespace weir
