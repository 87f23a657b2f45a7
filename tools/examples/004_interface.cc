// 004, "Type Safety" and "Object Interface for All Decorators", "Using with asyncio.to_thread".
#include "weir/tools/examples/example.h"

#include <concepts>
#include <optional>
#include <string_view>
#include <thread>

#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

namespace type_safety {  // 004-7, 004-12

const auto process_numbers = weir::threaded([](std::vector<double> numbers, double multiplier = 1.0) {
  for (double& n : numbers) n *= multiplier;
  return numbers;
});

weir::Task<> main() {
  const std::vector<double> numbers{1, 2, 3};
  // The compiler knows what comes back, in each form of the call.
  static_assert(std::same_as<decltype(process_numbers(numbers)), weir::Call<std::vector<double>>>);
  static_assert(std::same_as<decltype(process_numbers.sync_call(numbers)), std::vector<double>>);
  const std::vector<double> result = co_await process_numbers(numbers, 2.5);
  check(process_numbers.sync_call(numbers) == numbers);
  // process_numbers("not a list", 2.5) does not compile.
  print(result);
}

}  // namespace type_safety

namespace object_interface {  // 004-10

const auto sync_function = weir::threaded([](int x) { return std::to_string(x); });
const auto sync_generator = weir::threaded_iterable([](int n) -> weir::Generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
});

template <class Fn>
std::string_view type_of(const weir::Threaded<Fn>&) {
  return "weir::Threaded";
}
template <class Fn>
std::string_view type_of(const weir::ThreadedIterable<Fn>&) {
  return "weir::ThreadedIterable";
}

weir::Task<> main() {
  print(type_of(sync_function));
  print(type_of(sync_generator));

  // Both have sync_call and async_call.
  const std::string sync_result = sync_function.sync_call(42);
  const std::string async_result = co_await sync_function.async_call(42);
  const std::string default_result = co_await sync_function(42);
  print(sync_result, async_result, default_result);

  std::vector<int> items;
  for (const int item : sync_generator.sync_call(5)) items.push_back(item);  // the plain generator
  print(items);
  items.clear();
  auto stream = sync_generator(5);  // an IteratorWrapper
  while (auto item = co_await stream.next()) items.push_back(*item);
  print(items);
}

}  // namespace object_interface

namespace foreign_thread {  // 004-21

weir::Task<std::string> async_function() {
  co_await weir::sleep_for(seconds(1));
  co_return "async result";
}

std::optional<weir::LoopHandle> current_loop;

void function_of_a_foreign_thread(weir::ChannelSender<std::string> result) {
  result.put(weir::sync_wait_coroutine(*current_loop, async_function));
}

weir::Task<> main() {
  current_loop = weir::LoopHandle::current();
  weir::FromThreadChannel<std::string> result;
  const std::jthread thread(function_of_a_foreign_thread, result.sender());
  print(co_await result.get());
}

}  // namespace foreign_thread

}  // namespace

examples::Section examples::interface_004() {
  static constexpr Example kAll[] = {
      {"004-7", "types are kept", run<type_safety::main>},
      {"004-10", "functions and generators have the same interface", run<object_interface::main>},
      {"004-21", "a foreign thread, and the loop as a global variable", run<foreign_thread::main>},
  };
  return kAll;
}
