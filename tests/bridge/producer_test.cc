#include "weir/bridge/producer.h"

#include <gtest/gtest.h>

#include <list>
#include <map>
#include <memory>
#include <ranges>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

template <class T>
Task<std::vector<T>> items_of(IteratorWrapper<T> it) {
  std::vector<T> items;
  while (auto item = co_await it.next()) items.push_back(std::move(*item));
  co_return items;
}

using Ints = std::vector<int>;

TEST(Producer, I13_Ranges) {
  EXPECT_EQ(run(items_of(threaded_iterable([] { return Ints{1, 2, 3}; })())), (Ints{1, 2, 3}));
  EXPECT_EQ(run(items_of(threaded_iterable([] { return std::list<int>{1, 2}; })())), (Ints{1, 2}));
  EXPECT_EQ(run(items_of(threaded_iterable([] { return std::views::iota(0, 4); })())), (Ints{0, 1, 2, 3}));
  static const Ints shared = {4, 5};
  EXPECT_EQ(run(items_of(threaded_iterable([]() -> const Ints& { return shared; })())), shared);
  EXPECT_EQ(shared, (Ints{4, 5}));
  const auto pairs = run(items_of(threaded_iterable([] { return std::map<int, int>{{1, 2}}; })()));
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].second, 2);
  EXPECT_TRUE(run(items_of(threaded_iterable([] { return Ints(); })())).empty());
}

TEST(Producer, I13_ARangeByReferenceIsCopiedFrom) {
  static std::vector<std::string> shared = {std::string(50, 'a'), std::string(50, 'b')};
  const auto items = run(items_of(threaded_iterable([]() -> std::vector<std::string>& { return shared; })()));
  EXPECT_EQ(items, shared);
  EXPECT_EQ(shared[0], std::string(50, 'a'));
}

TEST(Producer, T03_MoveOnlyItems) {
  const auto container = run(items_of(threaded_iterable([] {
    std::vector<std::unique_ptr<int>> items;
    items.push_back(std::make_unique<int>(1));
    return items;
  })()));
  EXPECT_EQ(*container.at(0), 1);
  const auto generated = run(items_of(threaded_iterable([]() -> Generator<std::unique_ptr<int>> {
    co_yield std::make_unique<int>(2);
  })()));
  EXPECT_EQ(*generated.at(0), 2);
  const auto pushed = run(items_of(threaded_iterable([](Sink<std::unique_ptr<int>>& sink) {
    sink.put(std::make_unique<int>(3));
  })()));
  EXPECT_EQ(*pushed.at(0), 3);
}

void push_to(Sink<int>& sink, int n) noexcept(false) {
  for (int i = 0; i < n; ++i) sink.put(i);
}
TEST(Producer, SinksOfFunctionsLambdasAndFunctionObjects) {
  EXPECT_EQ(run(items_of(threaded_iterable(push_to)(3))), (Ints{0, 1, 2}));
  EXPECT_EQ(run(items_of(threaded_iterable([](std::stop_token, Sink<int>& sink, int n) { push_to(sink, n); })(2))), (Ints{0, 1}));
  std::function<void(Sink<int>&)> function = [](Sink<int>& sink) { push_to(sink, 1); };
  EXPECT_EQ(run(items_of(threaded_iterable(function)())), Ints{0});
  EXPECT_EQ(run(items_of(IteratorWrapper<int>([](auto& sink) { sink.put(9); }))), Ints{9});
}

class Store {
 public:
  explicit Store(int first) : first_(first) {}
  Generator<int> rows(int n) const {
    for (int i = 0; i < n; ++i) co_yield first_ + i;
  }
  void push(Sink<int>& sink, int n) {
    for (int i = 0; i < n; ++i) sink.put(first_ + i);
  }
  void push_until(std::stop_token, Sink<int>& sink) const { sink.put(first_); }
  Ints list() const noexcept { return {first_}; }

 private:
  int first_;
};

TEST(Producer, I36_MethodsThatReturnARange) {
  Store store(10);
  EXPECT_EQ(run(items_of(threaded_iterable(&Store::rows)(&store, 2))), (Ints{10, 11}));
  EXPECT_EQ(run(items_of(threaded_iterable(&Store::rows).bind(&store)(2))), (Ints{10, 11}));
  EXPECT_EQ(run(items_of(threaded_iterable(&Store::list)(std::ref(store)))), Ints{10});
}

TEST(Producer, I36_MethodsThatTakeASink) {
  Store store(10);
  EXPECT_EQ(run(items_of(threaded_iterable(&Store::push)(&store, 2))), (Ints{10, 11}));
  EXPECT_EQ(run(items_of(threaded_iterable(&Store::push).bind(&store)(2))), (Ints{10, 11}));
  EXPECT_EQ(run(items_of(threaded_iterable(&Store::push_until).bind(&store)())), Ints{10});
  EXPECT_EQ(run(items_of(threaded_iterable(&Store::push_until)(std::make_shared<Store>(5)))), Ints{5});
}

TEST(Producer, ArgumentsLiveAsLongAsTheGenerator) {
  const auto letters = [](const std::string& text) -> Generator<char> {
    for (const char c : text) co_yield c;
  };
  const std::vector<char> items = run(items_of(threaded_iterable(letters, {.max_size = 1})(std::string(100, 'z'))));
  EXPECT_EQ(std::string(items.begin(), items.end()), std::string(100, 'z'));
}

Task<> own_channel_closed() {
  auto it = threaded_iterable([](Sink<int>& sink) {
    sink.put(1);
    throw ChannelClosed("of another channel");
  })();
  EXPECT_EQ(co_await it.next(), 1);
  EXPECT_THROW(co_await it.next(), ChannelClosed);
}
TEST(Producer, AChannelClosedOfSomethingElseIsAFailure) { run(own_channel_closed()); }

}  // namespace
}  // namespace weir
