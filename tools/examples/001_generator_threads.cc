// 001, "Separate Thread Generators" and "Resource Control Warning".
#include "weir/tools/examples/example.h"

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

weir::Task<std::vector<int>> all_of(weir::IteratorWrapper<int> stream) {
  std::vector<int> items;
  while (auto item = co_await stream.next()) items.push_back(*item);
  co_return items;
}

namespace separate {  // 001-13

int heavy_computation(int i) {
  absl::SleepFor(seconds(0.001));
  return i * i;
}

// On a thread of its own, not the pool's.
const auto cpu_intensive_generator = weir::threaded_iterable_separate(
    []() -> weir::Generator<int> {
      for (int i = 0; i < 10; ++i) co_yield heavy_computation(i);
    },
    {.max_size = 50});

weir::Task<> main() {
  const std::vector<int> results = co_await all_of(cpu_intensive_generator());
  check(results == std::vector{0, 1, 4, 9, 16, 25, 36, 49, 64, 81});
  print(results);
}

}  // namespace separate

namespace resource_control {  // 001-14

int expensive_operation(int i) {
  absl::SleepFor(seconds(0.001));
  return i;
}

weir::Generator<int> expensive_items() {
  for (int i = 0; i < 5; ++i) co_yield expensive_operation(i);
}

// A thread for each stream that is read.
const auto data_stream = weir::threaded_iterable_separate(expensive_items);

// Safer: as many threads as the pool has, and bounded memory.
const auto safer_data_stream = weir::threaded_iterable(expensive_items, {.max_size = 100});

weir::Task<> main() {
  const std::vector<int> results = co_await all_of(safer_data_stream());
  check(results == std::vector{0, 1, 2, 3, 4});
  check(co_await all_of(data_stream()) == results);
  print(results);
}

}  // namespace resource_control

}  // namespace

examples::Section examples::generator_threads_001() {
  static constexpr Example kAll[] = {
      {"001-13", "a generator on a thread of its own", run<separate::main>},
      {"001-14", "the same items, with and without a thread for each stream", run<resource_control::main>},
  };
  return kAll;
}
