// 001, "Overview" and "Quick Start".
#include "weir/tools/examples/example.h"

#include <ranges>

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

namespace to_thread {  // 001-1

int sync_function(int a, int b) {
  absl::SleepFor(seconds(0.01));  // stands for a blocking call, here and below
  return a + b;
}

weir::Task<> main() {
  const auto in_thread = weir::threaded(sync_function);
  const int result = co_await in_thread(1, 2);
  check(result == 3);
  print(result);
}

}  // namespace to_thread

namespace comprehensive {  // 001-2

std::string blocking_operation() {
  absl::SleepFor(seconds(0.01));
  return "sync_result";
}

auto expensive_data_source() { return std::views::iota(0, 20); }

const auto mixed_sync_async = weir::threaded([] {
  std::string result = blocking_operation();
  weir::sync_await(weir::sleep_for, seconds(0.01));  // a coroutine of the loop, from this thread
  return result;
});

// A stream of any range; at most 100 items wait.
const auto data_stream = weir::threaded_iterable(expensive_data_source, {.max_size = 100});

weir::Task<> main() {
  const std::string result = co_await mixed_sync_async();
  check(result == "sync_result");

  std::vector<int> items;
  {
    auto stream = data_stream();
    while (auto item = co_await stream.next()) {
      items.push_back(*item);
      if (items.size() >= 10) break;
    }
  }  // dropping the stream stops its producer
  check(items.size() == 10);
  print(result, items);
}

}  // namespace comprehensive

namespace basic_usage {  // 001-4

const auto cpu_intensive_task = weir::threaded([](int n) {
  absl::SleepFor(seconds(0.01));
  return n * n;
});

weir::Task<> main() {
  std::vector<weir::Call<int>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(cpu_intensive_task(i));
  const std::vector<int> results = co_await weir::gather(std::move(tasks));
  check(results == std::vector{0, 1, 4, 9, 16});
  print(results);
}

}  // namespace basic_usage

}  // namespace

examples::Section examples::overview_001() {
  static constexpr Example kAll[] = {
      {"001-1", "one function in a thread", run<to_thread::main>},
      {"001-2", "calls, calls back, and a stream", run<comprehensive::main>},
      {"001-4", "five calls at once", run<basic_usage::main>},
  };
  return kAll;
}
