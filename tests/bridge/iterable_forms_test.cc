// What streams are made of, their defaults and their counters.

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/iterable.h"
#include "weir/bridge/separate.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;

Generator<int> numbers(int count) {
  for (int i = 0; i < count; ++i) co_yield i;
}

TEST(Iterable, I03_AStreamIsReadOnALoop) {
  IteratorWrapper it([] { return numbers(1); });
  EXPECT_FALSE(it.closed());
  auto next = it.next();
  EXPECT_THROW((void)next.operator co_await().await_ready(), std::exception);  // no loop runs here
  EXPECT_EQ(run([](IteratorWrapper<int>& same) -> Task<int> {
    const std::optional<int> item = co_await same.next();
    co_return *item;
  }(it)), 0);
}

// Without a limit the producer ends although nobody reads.
template <class Stream>
Task<> ends_unread(Stream stream) {
  (void)co_await stream.next();
  while (stream.stats().put < 10'000) co_await yield();
  int count = 1;
  while (co_await stream.next()) ++count;
  EXPECT_EQ(count, 10'000);
  EXPECT_EQ(stream.stats().producer_sleeps, 0u);
}
TEST(Iterable, I05_D18_TheDefaultIsUnbounded) {
  run(ends_unread(threaded_iterable(numbers)(10'000)));
  run(ends_unread(threaded_iterable_separate(numbers)(10'000)));
  run(ends_unread(IteratorWrapper([] { return numbers(10'000); })));
  run(ends_unread(IteratorWrapperSeparate([] { return numbers(10'000); })));
  run(ends_unread(threaded_iterable(numbers, {.max_size = 0})(10'000)));
}

TEST(Iterable, I40_ClosedSaysSo) {
  run([]() -> Task<> {
    auto it = threaded_iterable(numbers)(1);
    EXPECT_FALSE(it.closed());
    (void)co_await it.next();
    const std::optional<int> end = co_await it.next();
    EXPECT_FALSE(end.has_value());
    EXPECT_TRUE(it.closed());
    auto other = threaded_iterable(numbers)(1);
    (void)other.close();
    EXPECT_TRUE(other.closed());
  }());
}

Task<> close_unawaited() {
  auto alive = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = alive;
  IteratorWrapper it([own = std::move(alive)](Sink<int>& sink) {
    for (int i = 0;; ++i) sink.put(i + *own);
  }, {.max_size = 1});
  EXPECT_EQ(co_await it.next(), 0);
  (void)it.close();  // acts in the call
  while (!watch.expired()) co_await yield();
}
TEST(Iterable, I14_CloseActsInTheCall) { run(close_unawaited()); }

Task<> separate_thread() {
  std::thread::id thread;
  const auto who = [&thread]() -> Generator<int> {
    thread = std::this_thread::get_id();
    co_yield 1;
  };
  const auto on_pool = threaded([] { return std::this_thread::get_id(); });
  ThreadPool pool({.size = 1});
  Loop::current().set_default_executor(&pool);
  const std::thread::id worker = co_await on_pool();
  IteratorWrapperSeparate own(who);
  EXPECT_EQ(co_await own.next(), 1);
  co_await own.close();
  EXPECT_NE(thread, worker);
  auto stream = threaded_iterable_separate(who)();
  EXPECT_EQ(co_await stream.next(), 1);
  co_await stream.close();
  EXPECT_NE(thread, worker);
  auto pooled = threaded_iterable(who)();
  EXPECT_EQ(co_await pooled.next(), 1);
  co_await pooled.close();
  EXPECT_EQ(thread, worker);
  Loop::current().set_default_executor(nullptr);
}
TEST(Iterable, I35_D17_ASeparateStreamHasAThreadOfItsOwn) { run(separate_thread()); }

int threads_of_this_process() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Threads:", 0) == 0) return std::stoi(line.substr(8));
  }
  return -1;
}

Task<> unstarted() {
  const int before = threads_of_this_process();
  std::vector<IteratorWrapper<int>> streams;
  for (int i = 0; i < 100; ++i) streams.push_back(threaded_iterable_separate(numbers)(1));
  EXPECT_LE(threads_of_this_process(), before);  // those of earlier tests may just be gone
  co_return;
}
TEST(Iterable, I39_AStreamThatIsNeverReadCostsNoThread) { run(unstarted()); }

Task<> counters() {
  auto it = threaded_iterable(numbers, {.max_size = 2})(10);
  EXPECT_EQ(co_await it.next(), 0);
  while (it.stats().producer_sleeps == 0) co_await yield();
  while (co_await it.next()) {
  }
  EXPECT_EQ(it.stats().put, 10u);
  EXPECT_EQ(it.stats().got, 10u);
  EXPECT_GE(it.stats().producer_wakeups, 1u);
}
TEST(Iterable, I42_CountersAreKept) { run(counters()); }

// No notice for each item: those that are there are taken without a word between the threads.
Task<> no_post_an_item() {
  Gate made;
  auto it = IteratorWrapper([&made](Sink<int>& sink) {
    for (int i = 0; i < 100'000; ++i) sink.put(i);
    made.open();
  });
  EXPECT_EQ(co_await it.next(), 0);
  made.wait();
  const LoopStats before = Loop::current().stats();
  for (int i = 1; i < 100'000; ++i) EXPECT_EQ(co_await it.next(), i);
  EXPECT_LE(Loop::current().stats().posts - before.posts, 10u);
  EXPECT_LE(Loop::current().stats().tasks, 1u);
  co_await it.close();
}
TEST(Iterable, D15_AnItemCostsNoNotice) { run(no_post_an_item()); }

}  // namespace
}  // namespace weir
