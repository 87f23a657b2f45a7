#include "weir/bridge/callable.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

template <class Fn, class... Args>
concept Takes = internal::BlockingCallable<Fn, Args...>;
static_assert(Takes<int (*)(int), int>);
static_assert(!Takes<int (*)(int), std::string>);
static_assert(!Takes<int (*)(int)>);
static_assert(Takes<int (*)(std::stop_token, int), int>);
static_assert(internal::is_generator<Generator<int>>);
static_assert(!internal::is_generator<int>);

class Shape {
 public:
  virtual ~Shape() = default;
  virtual std::string name() const { return "shape"; }
  int add(int n) { return value_ += n; }
  int value() const noexcept { return value_; }
  int stoppable(std::stop_token stop, int n) const { return stop.stop_possible() ? n : -n; }
  static int twice(int n) { return 2 * n; }

 private:
  int value_ = 0;
};
class Square : public Shape {
 public:
  std::string name() const override { return "square"; }
};
class SmallSquare : public Square {
 public:
  std::string name() const override { return "small square"; }
};

Task<> methods() {
  Shape shape;
  EXPECT_EQ(co_await threaded(&Shape::add)(&shape, 3), 3);
  EXPECT_EQ(co_await threaded(&Shape::add)(std::ref(shape), 3), 6);
  EXPECT_EQ(co_await threaded(&Shape::value)(&shape), 6);
  EXPECT_EQ(co_await threaded(&Shape::twice)(4), 8);
  EXPECT_EQ(co_await threaded(&Shape::stoppable)(&shape, 5), 5);
  auto shared = std::make_shared<Shape>();
  EXPECT_EQ(co_await threaded(&Shape::add)(shared, 1), 1);
  EXPECT_EQ(threaded(&Shape::add).sync_call(&shape, 1), 7);
  EXPECT_EQ(threaded(&Shape::stoppable).sync_call(&shape, 5), -5);  // a token that never stops
}
TEST(Callable, T15_Methods) { run(methods()); }

class Qualified {
 public:
  int by_reference() & { return 1; }
  int by_const_reference() const& noexcept { return 2; }
  std::unique_ptr<int> take() && { return std::move(held_); }
  void push(Sink<int>& sink, int n) const& { sink.put(n); }
  Generator<int> rows(int n) & noexcept { co_yield n; }

 private:
  std::unique_ptr<int> held_ = std::make_unique<int>(3);
};

template <class T>
Task<T> only_item(IteratorWrapper<T> it) {
  std::optional<T> item = co_await it.next();
  EXPECT_FALSE(co_await it.next());
  co_return std::move(*item);
}

Task<> qualified() {
  Qualified object;
  EXPECT_EQ(co_await threaded(&Qualified::by_reference)(&object), 1);
  EXPECT_EQ(co_await threaded(&Qualified::by_const_reference)(std::cref(object)), 2);
  EXPECT_EQ(*co_await threaded(&Qualified::take)(Qualified()), 3);
  EXPECT_EQ(co_await only_item(threaded_iterable(&Qualified::push)(&object, 4)), 4);
  EXPECT_EQ(co_await only_item(threaded_iterable(&Qualified::push).bind(&object)(5)), 5);
  EXPECT_EQ(co_await only_item(threaded_iterable(&Qualified::rows)(&object, 6)), 6);
}
TEST(Callable, T15_RefQualifiedMethods) { run(qualified()); }

Task<> bound() {
  Shape shape;
  auto add = threaded(&Shape::add).bind(&shape);
  EXPECT_EQ(co_await add(3), 3);
  EXPECT_EQ(co_await add.attached()(3), 6);
  EXPECT_EQ(add.sync_call(1), 7);
  EXPECT_EQ(co_await threaded(&Shape::value).bind(std::cref(shape))(), 7);
  EXPECT_EQ(co_await threaded(&Shape::stoppable).bind(&shape)(5), 5);
  auto shared = std::make_shared<Shape>();
  const std::weak_ptr<Shape> watch = shared;
  {
    auto kept = threaded(&Shape::add).bind(std::move(shared));
    EXPECT_EQ(co_await kept(2), 2);
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}
TEST(Callable, T15_BoundMethods) { run(bound()); }

Task<> inheritance() {
  SmallSquare small;
  EXPECT_EQ(co_await threaded(&Shape::name)(&small), "small square");
  EXPECT_EQ(co_await threaded(&Shape::name).bind(static_cast<Shape*>(&small))(), "small square");
  EXPECT_EQ(co_await threaded(&Square::name)(&small), "small square");
}
TEST(Callable, T16_VirtualMethodsCallTheMostDerived) { run(inheritance()); }

struct Overloaded {
  int operator()(int n) const { return n; }
  std::string operator()(const std::string& text) const { return text + "!"; }
  int operator()(std::stop_token, int a, int b) const { return a + b; }
};
int noexcept_function(int n) noexcept { return n + 1; }

Task<> all_kinds() {
  auto generic = threaded([](auto a, auto b) { return a + b; });
  EXPECT_EQ(co_await generic(1, 2), 3);
  EXPECT_EQ(co_await generic(std::string("a"), std::string("b")), "ab");
  auto overloaded = threaded(Overloaded());
  EXPECT_EQ(co_await overloaded(1), 1);
  EXPECT_EQ(co_await overloaded(std::string("x")), "x!");
  EXPECT_EQ(co_await overloaded(1, 2), 3);
  EXPECT_EQ(co_await threaded(noexcept_function)(1), 2);
  auto add = [](int a, int b) { return a + b; };
  EXPECT_EQ(co_await threaded(std::bind_front(add, 1))(2), 3);
  std::function<int(int)> function = [](int n) { return -n; };
  EXPECT_EQ(co_await threaded(function)(2), -2);
  const auto constant = [](std::unique_ptr<int> n) noexcept { return n; };
  EXPECT_EQ(*co_await threaded(constant)(std::make_unique<int>(4)), 4);
  co_await threaded([]() noexcept {})();
  int calls = 0;
  auto counts = [&calls] { return ++calls; };
  EXPECT_EQ(co_await threaded(std::ref(counts))(), 1);
  auto stateful = threaded([n = 0]() mutable { return ++n; });
  EXPECT_EQ(co_await stateful(), 1);
  EXPECT_EQ(co_await stateful(), 1);  // each call has a copy
  EXPECT_EQ(stateful.sync_call(), 1);
}
TEST(Callable, T20_EverythingThatCanBeCalled) { run(all_kinds()); }

Task<> functions_that_only_move() {
  auto own = threaded([held = std::make_unique<int>(5)](int n) { return *held + n; });
  EXPECT_EQ(co_await own(1), 6);
  EXPECT_EQ(co_await own.attached()(2), 7);
  EXPECT_EQ(own.sync_call(3), 8);
  auto separate = threaded_separate([held = std::make_unique<int>(5)](std::stop_token) { return *held; });
  EXPECT_EQ(co_await separate(), 5);
  auto add = threaded(&Shape::add).bind(std::make_unique<Shape>());
  EXPECT_EQ(co_await add(2), 2);
  EXPECT_EQ(co_await add(2), 4);
  absl::AnyInvocable<int(int)> same = [](int n) { return n; };
  auto any = threaded(std::move(same));
  EXPECT_EQ(co_await any(4), 4);
  auto pull = threaded_iterable([held = std::make_unique<int>(5)] { return std::vector<int>{*held}; });
  EXPECT_EQ(co_await only_item(pull()), 5);
  auto push = threaded_iterable([held = std::make_unique<int>(5)](Sink<int>& sink) { sink.put(*held); });
  EXPECT_EQ(co_await only_item(push()), 5);
}
TEST(Callable, T20_FunctionsThatOnlyMove) { run(functions_that_only_move()); }

Task<> token_by_reference() {
  const auto push = [](const std::stop_token&, Sink<int>& sink, int n) { sink.put(n); };
  EXPECT_EQ(co_await only_item(threaded_iterable(push)(3)), 3);
}
TEST(Callable, I13_AProducerTakesItsStopTokenByReference) { run(token_by_reference()); }

Task<> stop_token() {
  auto f = threaded([](std::stop_token stop, int n) { return stop.stop_possible() && !stop.stop_requested() ? n : -1; });
  EXPECT_EQ(co_await f(5), 5);
  EXPECT_EQ(f.sync_call(5), -1);  // one that never stops
  std::stop_source own;
  own.request_stop();
  EXPECT_EQ(co_await f(own.get_token(), 5), -1);  // the caller's own
}
TEST(Callable, T07_AFirstParameterStopToken) { run(stop_token()); }

TEST(Callable, I01_SyncCallOfACoroutineLambdaKeepsItsCaptures) {
  auto numbers = threaded_iterable([text = std::string(100, 'x')](int n) -> Generator<std::string> {
    for (int i = 0; i < n; ++i) co_yield text + std::to_string(i);
  });
  int count = 0;
  for (const std::string& item : numbers.sync_call(3)) EXPECT_EQ(item, std::string(100, 'x') + std::to_string(count++));
  EXPECT_EQ(count, 3);
}

}  // namespace
}  // namespace weir
