#include "weir/bridge/separate.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weir/weir.h"

namespace weir {
namespace {

std::string thread_name() {
  char name[16] = "";
  ::pthread_getname_np(::pthread_self(), name, sizeof name);
  return name;
}

// The loop blocks right after the call: the thread runs all the same (D-04).
Task<> starts_at_once() {
  std::atomic<bool> ran{false};
  auto call = threaded_separate([&ran] { ran = true; });
  auto running = call();
  while (!ran) std::this_thread::yield();
  co_await std::move(running);
}

TEST(Separate, S01_D04_TheThreadStartsInTheCall) { run(starts_at_once()); }

Task<> names() {
  const auto tail = threaded_separate(thread_name, {.name = "tail"});
  EXPECT_EQ(co_await tail(), "sep-tail");
  const auto unnamed = threaded_separate(thread_name);
  EXPECT_EQ(co_await unnamed(), "sep-thread");
  const auto longer = threaded_separate(thread_name, {.name = "a-name-that-is-too-long"});
  EXPECT_EQ(co_await longer(), "sep-a-name-that");
}

TEST(Separate, S02_ThreadsAreNamed) { run(names()); }

TEST(Separate, S02_EqualArgumentsAreOneExecutor) {
  const auto executor = [](std::string_view name, bool detach) { return &internal::separate_threads(name, detach); };
  EXPECT_EQ(executor("one", true), executor("one", true));
  EXPECT_NE(executor("one", true), executor("one", false));
  EXPECT_NE(executor("one", true), executor("two", true));
  EXPECT_FALSE(executor("one", true)->waited_for());
  EXPECT_TRUE(executor("one", false)->waited_for());
}

Task<> stays_within_its_limit() {
  IteratorWrapperSeparate it([](Sink<int>& sink) {
    for (int i = 0;; ++i) sink.put(i);
  }, {.max_size = 2});
  EXPECT_EQ(co_await it.next(), 0);
  while (it.stats().producer_sleeps == 0) co_await yield();
  EXPECT_LE(it.stats().put, 1u + 2u);
}
TEST(Separate, S12_AStreamHasItsLimit) { run(stays_within_its_limit()); }

Task<> fails() {
  const auto failing = threaded_separate([]() -> int { throw std::runtime_error("no"); });
  EXPECT_THROW(co_await failing(), std::runtime_error);
}

TEST(Separate, S05_AnExceptionArrivesAtTheAwait) { run(fails()); }

Task<> many() {
  constexpr int kThreads = 300;
  std::atomic<int> running{0};
  const auto wait_for_all = threaded_separate([&running] {
    ++running;
    while (running < kThreads) std::this_thread::yield();
  });
  std::vector<Call<void>> calls;
  for (int i = 0; i < kThreads; ++i) calls.push_back(wait_for_all());
  co_await gather(std::move(calls));
}

TEST(Separate, S11_ThereIsNoLimit) { run(many()); }

class Store {
 public:
  std::string where(int) { return thread_name(); }
};

Task<> methods() {
  Store store;
  const auto where = threaded_separate(&Store::where, {.name = "store"});
  EXPECT_EQ(co_await where(&store, 1), "sep-store");
  const auto bound = where.bind(&store);
  EXPECT_EQ(co_await bound(1), "sep-store");
}

TEST(Separate, S12_N03_MethodsRunOnAThreadOfTheirOwn) { run(methods()); }

Generator<std::string> where_produced(int count) {
  for (int i = 0; i < count; ++i) co_yield thread_name();
}

Task<> generators() {
  const auto names = threaded_separate(where_produced, {.name = "gen"});
  auto it = names(2);
  EXPECT_EQ(*co_await it.next(), "sep-gen");
  const auto stream = threaded_iterable_separate(where_produced, {.max_size = 1});
  auto other = stream(3);
  int count = 0;
  while (auto name = co_await other.next()) {
    EXPECT_EQ(*name, "sep-stream");
    ++count;
  }
  EXPECT_EQ(count, 3);
  const auto endless = [](Sink<int>& sink) {
    for (int i = 0;; ++i) sink.put(i);
  };
  IteratorWrapperSeparate wrapper(endless, {.max_size = 5});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(*co_await wrapper.next(), i);
  co_await wrapper.close();
}

TEST(Separate, S13_GeneratorsBecomeStreams) { run(generators()); }

}  // namespace
}  // namespace weir
