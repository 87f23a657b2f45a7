#include "weir/bridge/threaded.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
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

TEST(Threaded, T01_CallFormsGiveTheSame) {
  auto add = threaded([](int a, int b) { return a + b; });
  EXPECT_EQ(add.sync_call(1, 2), 3);  // no loop is needed
  run([](auto f) -> Task<> {
    EXPECT_EQ(co_await f(1, 2), 3);
    EXPECT_EQ(co_await f.async_call(1, 2), 3);
    EXPECT_EQ(f.sync_call(1, 2), 3);
  }(add));
}

TEST(Threaded, T01_X02_SyncCallRunsOnThisThreadInItsOwnContext) {
  ContextVar<int> depth("depth", 0);
  auto f = threaded([&depth] {
    depth.set(7);
    return std::this_thread::get_id();
  });
  EXPECT_EQ(f.sync_call(), std::this_thread::get_id());
  EXPECT_EQ(depth.get(), 7);
  run([](auto g, ContextVar<int>& variable) -> Task<> {
    variable.set(1);
    g.sync_call();
    EXPECT_EQ(variable.get(), 7);
    co_return;
  }(f, depth));
}

Task<> call_without_await() {
  Gate ran;
  auto f = threaded([&ran] { ran.open(); });
  Call<void> call = f();
  ran.wait();  // although nobody awaits, and the loop stands still
  co_await std::move(call);
}
TEST(Threaded, T02_TheCallItselfSubmits) { run(call_without_await()); }

Task<> drop_calls(Count& ran) {
  auto f = threaded([&ran] { ran.add(); });
  for (int i = 0; i < 10; ++i) f().detach();
  for (int i = 0; i < 10; ++i) {
    const Call<void> dropped = f();
  }
  ran.wait_for(20);
  co_return;
}
TEST(Threaded, T02_DroppedAndDetachedCallsRunAllTheSame) {
  Count ran;
  run(drop_calls(ran));
}

// Also where nothing comes behind them: a free worker's job counts as running, and the loop's end waits for it.
Task<> leave_calls(std::atomic<int>& ran) {
  auto f = threaded([&ran] { ++ran; });
  f().detach();
  {
    const Call<void> dropped = f();
  }
  co_return;
}
TEST(Threaded, T02_T23_CallsForWhichAWorkerIsFreeRunThoughTheLoopEnds) {
  for (int i = 0; i < testing::storm(100); ++i) {
    std::atomic<int> ran = 0;
    EXPECT_EQ(entrypoint({.pool_size = 2}, leave_calls(ran)), 0);
    EXPECT_EQ(ran, 2);
  }
}

struct Unhandled {
  Count reports;
  std::string message;
  static void note(std::exception_ptr failure, std::string_view, void* user) noexcept {
    auto& self = *static_cast<Unhandled*>(user);
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      self.message = error.what();
    } catch (...) {
      self.message = "?";
    }
    self.reports.add();
  }
};

Task<> lose_a_failure(Count& reports) {
  auto fails = threaded([] { throw std::runtime_error("lost"); });
  fails().detach();
  while (reports.value() == 0) co_await yield();
}
TEST(Threaded, T02_AFailureThatNobodyAwaitsIsReportedOnce) {
  Unhandled unhandled;
  LoopOptions options;
  options.on_unhandled = &Unhandled::note;
  options.on_unhandled_user = &unhandled;
  {
    auto loop = tests::make_loop(options);
    loop->run(lose_a_failure(unhandled.reports));
  }
  EXPECT_EQ(unhandled.reports.value(), 1);
  EXPECT_EQ(unhandled.message, "lost");
}

Task<> results_in_order() {
  auto twice = threaded([](int n) { return 2 * n; });
  std::vector<Call<int>> calls;
  for (int i = 0; i < 500; ++i) calls.push_back(twice(i));
  const std::vector<int> results = co_await gather(std::move(calls));
  for (int i = 0; i < 500; ++i) EXPECT_EQ(results[i], 2 * i);
}
TEST(Threaded, T03_GatherGivesResultsInTheOrderOfTheCalls) { run(results_in_order()); }

Task<> exceptions() {
  const auto original = std::make_exception_ptr(std::runtime_error("the very same"));
  auto rethrow = threaded([original]() -> int { std::rethrow_exception(original); });
  const void* address = nullptr;
  try {
    std::rethrow_exception(original);
  } catch (const std::runtime_error& error) {
    address = &error;
  }
  try {
    co_await rethrow();
    ADD_FAILURE();
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(&error, address);
  }
  auto odd = threaded([] { throw 3; });
  EXPECT_THROW(co_await odd(), int);
  auto cancelled = threaded([] { throw Cancelled(); });
  EXPECT_THROW(co_await cancelled(), Cancelled);
  auto works = threaded([] { return 1; });
  EXPECT_EQ(co_await works(), 1);  // the worker lives
}
TEST(Threaded, T04_TheVeryExceptionArrivesOfWhateverType) { run(exceptions()); }

Task<> mass_failure() {
  auto fails = threaded([](int n) -> int { throw std::out_of_range(std::to_string(n)); });
  std::vector<Call<int>> calls;
  for (int i = 0; i < 90; ++i) calls.push_back(fails(i));
  for (int i = 0; i < 90; ++i) {
    try {
      co_await std::move(calls[i]);
      ADD_FAILURE();
    } catch (const std::out_of_range& error) {
      EXPECT_EQ(error.what(), std::to_string(i));
    }
  }
  auto works = threaded([] { return 5; });
  EXPECT_EQ(co_await works(), 5);
}
TEST(Threaded, T05_NinetyFailuresEachOnTheirOwn) { run(mass_failure()); }

Task<> meet(int count) {
  Count arrived;
  auto f = threaded([&arrived, count] {
    arrived.add();
    arrived.wait_for(count);  // hangs unless all run at once
  });
  std::vector<Call<void>> calls;
  for (int i = 0; i < count; ++i) calls.push_back(f());
  co_await gather(std::move(calls));
}
TEST(Threaded, T06_AsManyRunAtOnceAsThePoolHasThreads) { run(meet(4)); }

Task<> lazy(Call<int> call) { EXPECT_EQ(co_await std::move(call), 42); }
TEST(Threaded, T11_WithoutALoopTheAwaitSubmitsWithTheContextOfTheCall) {
  ContextVar<int> variable("variable", 0);
  std::atomic<int> calls = 0;
  auto f = threaded([&] {
    ++calls;
    return variable.get();
  });
  variable.set(42);
  Call<int> call = f();
  variable.set(43);
  EXPECT_EQ(calls, 0);
  run(lazy(std::move(call)));
  EXPECT_EQ(calls, 1);
  {
    const Call<int> never = f();
  }
  EXPECT_EQ(calls, 1);
}

Generator<int> count_to(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}
Task<> stream_of_a_generator() {
  auto numbers = threaded(count_to);
  auto it = numbers(3000);
  static_assert(std::is_same_v<decltype(it), IteratorWrapper<int>>);
  int expected = 0;
  while (auto n = co_await it.next()) EXPECT_EQ(*n, expected++);
  EXPECT_EQ(expected, 3000);
  int sum = 0;
  for (int n : numbers.sync_call(4)) sum += n;
  EXPECT_EQ(sum, 6);
}
TEST(Threaded, T13_AGeneratorFunctionBecomesAStream) { run(stream_of_a_generator()); }

Task<> on_another_pool(ThreadPool& pool) {
  auto name = threaded([] {
    char text[16] = {};
    pthread_getname_np(pthread_self(), text, sizeof text);
    return std::string(text);
  });
  EXPECT_EQ(co_await name.on(pool)(), "other-0");
  EXPECT_EQ((co_await name()).substr(0, 5), "pool-");
  Loop::current().set_default_executor(&pool);
  EXPECT_EQ(co_await name(), "other-0");
  Loop::current().set_default_executor(nullptr);
  EXPECT_EQ((co_await name()).substr(0, 5), "pool-");
}
TEST(Threaded, T21_WhichPool) {
  ThreadPool pool({.size = 1, .name = "other"});
  run(on_another_pool(pool));
}

Task<> first_in_first_out() {
  ThreadPool pool({.size = 1});
  std::vector<int> order;
  auto note = threaded([&order](int n) { order.push_back(n); });
  std::vector<Call<void>> calls;
  for (int i = 0; i < 2000; ++i) calls.push_back(note.on(pool)(i));
  co_await gather(std::move(calls));
  for (int i = 0; i < 2000; ++i) EXPECT_EQ(order[i], i);
}
TEST(Threaded, T22_P04_AnyNumberQueuesFirstInFirstOut) { run(first_in_first_out()); }

TEST(Threaded, T23_TheLoopsEndWaitsForRunningJobs) {
  Gate began, go;
  std::atomic<bool> ended = false;
  std::thread opener([&] {
    began.wait();
    go.open();
  });
  run([](Gate& start, Gate& proceed, std::atomic<bool>& over) -> Task<> {
    auto f = threaded([&] {
      start.open();
      proceed.wait();
      over = true;
    });
    f().detach();
    start.wait();
    co_return;
  }(began, go, ended));
  EXPECT_TRUE(ended);
  opener.join();
}

int nested(int depth) {
  if (depth == 0) return 0;
  return 1 + sync_await(threaded(nested), depth - 1);
}
Task<int> nested_on(ThreadPool& pool) {
  Loop::current().set_default_executor(&pool);
  const int depth = co_await threaded(nested)(20);
  Loop::current().set_default_executor(nullptr);
  co_return depth;
}
TEST(Threaded, T24_W14_N09_NestedCallsOnAPoolOfOneDoNotLockUp) {
  ThreadPool pool({.size = 1});
  EXPECT_EQ(run(nested_on(pool)), 20);
}

TEST(Threaded, X01_D22_TheJobSeesASnapshotOfTheCallersContext) {
  ContextVar<int> variable("variable", 0);
  run([](ContextVar<int>& v) -> Task<> {
    Gate go;
    auto f = threaded([&] {
      go.wait();
      const int seen = v.get();
      v.set(99);
      return seen;
    });
    v.set(1);
    Call<int> call = f();
    v.set(2);
    go.open();
    EXPECT_EQ(co_await std::move(call), 1);
    EXPECT_EQ(v.get(), 2);
  }(variable));
}

TEST(Threaded, X03_N23_TheLoopIsKnownInTheJobAndNotAfterIt) {
  ThreadPool pool({.size = 1});
  Gate done;
  bool known_outside = true;
  run([](ThreadPool& workers) -> Task<> {
    auto f = threaded([handle = Loop::current().handle()] { return LoopHandle::current() == handle; });
    EXPECT_TRUE(co_await f.on(workers)());
  }(pool));
  pool.submit([&] {
    try {
      (void)LoopHandle::current();
    } catch (const LookupError&) {
      known_outside = false;
    }
    done.open();
  });
  done.wait();
  EXPECT_FALSE(known_outside);
}

Task<> nothing_is_kept() {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  auto f = threaded([](const std::shared_ptr<int>& p) { return *p; });
  Call<int> call = f(std::move(held));
  held.reset();
  EXPECT_EQ(co_await std::move(call), 1);
  EXPECT_TRUE(watch.expired());  // the arguments are gone before the result is there
}
TEST(Threaded, D21_ArgumentsAreGoneWhenTheResultIsThere) { run(nothing_is_kept()); }

Task<int> program() { co_return co_await threaded([] { return 3; })(); }
TEST(Threaded, P01_APoolOfOneIsEnough) { EXPECT_EQ(entrypoint({.pool_size = 1}, program()), 3); }

}  // namespace
}  // namespace weir
