// 001, "Advanced Usage".
#include "weir/tools/examples/example.h"

#include <stdexcept>

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

namespace channel_timeout {  // 001-19

const auto producer = weir::threaded([](weir::ChannelSender<int> channel) {
  const auto guard = channel.closer();  // Python's `with channel:`
  for (int i = 0; i < 10; ++i) channel.put(i);
});

weir::Task<> main() {
  weir::FromThreadChannel<int> channel({.max_size = 10, .timeout = absl::Seconds(60)});
  producer(channel.sender()).detach();  // nobody awaits it; it runs all the same

  std::vector<int> results;
  try {
    for (;;) results.push_back(co_await channel.get());
  } catch (const weir::ChannelClosed&) {
  }
  check(results == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  print(results);

  // A timeout for this call, instead of the channel's own.
  weir::FromThreadChannel<int> silent({.timeout = absl::Seconds(60)});
  try {
    (void)co_await silent.get(seconds(0.01));
    check(false);
  } catch (const weir::ChannelTimeout&) {
    print("timed out");
  }
}

}  // namespace channel_timeout

namespace errors {  // 001-20

const auto risky_operation = weir::threaded([](bool should_fail) {
  if (should_fail) throw std::invalid_argument("Something went wrong");
  return std::string("success");
});

weir::Task<> main() {
  print(co_await risky_operation(false));
  try {
    (void)co_await risky_operation(true);
    check(false);
  } catch (const std::invalid_argument& failure) {  // the object that was thrown in the thread
    check(failure.what() == std::string("Something went wrong"));
    print(failure.what());
  }
}

}  // namespace errors

namespace performance {  // 001-21

// Long computations, on threads of their own.
const auto cpu_bound_task = weir::threaded_separate([](int data) {
  absl::SleepFor(seconds(0.01));
  return data * 2;
});

// Blocking I/O, on the pool.
const auto io_bound_task = weir::threaded([](std::string url) {
  absl::SleepFor(seconds(0.01));
  return "response from " + url;
});

weir::Task<> work() {
  const int cpu_result = co_await cpu_bound_task(21);
  check(cpu_result == 42);
  const std::string io_result = co_await io_bound_task("http://example.com");
  check(io_result == "response from http://example.com");
  print(cpu_result, io_result);
}

void program(const examples::Arguments&) {
  weir::ThreadPool pool({.size = 10, .name = "ten"});  // outlives the loop that uses it
  auto loop = weir::Loop::create();
  if (!loop.ok()) throw std::runtime_error(std::string(loop.status().message()));
  (*loop)->set_default_executor(&pool);
  (*loop)->run(work());
}

}  // namespace performance

}  // namespace

examples::Section examples::advanced_001() {
  static constexpr Example kAll[] = {
      {"001-19", "a channel that ends, and one that is late", run<channel_timeout::main>},
      {"001-20", "exceptions", run<errors::main>},
      {"001-21", "a pool of ten as the loop's default", performance::program},
  };
  return kAll;
}
