// 001, "Calling Async Code from Threads".
#include "weir/tools/examples/example.h"

#include <thread>
#include <variant>

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

namespace basic_calls {  // 001-15

using Data = std::map<std::string, std::variant<std::string, bool>>;

Data blocking_operation() {
  absl::SleepFor(seconds(0.01));
  return {{"key", "value"}};
}

weir::Task<Data> async_api_call(Data data) {
  co_await weir::sleep_for(seconds(0.01));  // stands for I/O on the loop
  data["processed"] = true;
  co_return data;
}

Data process_result(Data data) { return data; }

const auto mixed_sync_async_work = weir::threaded([] {
  const Data sync_result = blocking_operation();
  // The coroutine runs on the loop; this thread waits for it.
  const Data async_result = weir::sync_await(async_api_call, sync_result);
  return process_result(async_result);
});

weir::Task<> main() {
  const Data result = co_await mixed_sync_async_work();
  check(result == Data{{"key", "value"}, {"processed", true}});
  print(result);
}

}  // namespace basic_calls

namespace event_loop {  // 001-16

weir::Task<std::string> some_async_function(std::string argument) { co_return "async_" + argument; }
weir::Task<std::string> another_async_function(std::string argument) { co_return "awaited_" + argument; }

const auto thread_with_async_calls = weir::threaded([] {
  const std::string result1 = weir::sync_await(some_async_function, "arg1");
  const std::string result2 = weir::wait_coroutine(another_async_function("arg2"));
  return result1 + result2;
});

weir::Task<> main() {
  const std::string result = co_await thread_with_async_calls();
  check(result == "async_arg1awaited_arg2");
  print(result);
}

}  // namespace event_loop

namespace coroutine_waiting {  // 001-17

weir::Task<std::string> fetch_data() {
  co_await weir::sleep_for(seconds(0.01));
  co_return "data";
}

const auto thread_worker = weir::threaded([] { return weir::wait_coroutine(fetch_data()); });

weir::Task<std::string> fetch_from_loop() { co_return "data from specific loop"; }

// On a thread that weir knows nothing of: it has to be told the loop.
std::string manual_thread_worker(weir::LoopHandle loop) { return weir::sync_wait_coroutine(loop, fetch_from_loop); }

weir::Task<> main() {
  const std::string result1 = co_await thread_worker();
  check(result1 == "data");

  weir::FromThreadChannel<std::string> results;
  const std::jthread foreign([loop = weir::LoopHandle::current(), sender = results.sender()] {
    sender.put(manual_thread_worker(loop));
  });
  const std::string result2 = co_await results.get();
  check(result2 == "data from specific loop");
  print(std::vector{result1, result2});
}

}  // namespace coroutine_waiting

namespace context_variables {  // 001-18

weir::ContextVar<std::string> user_context("user");

const auto process_user_data =
    weir::threaded([](std::string data) { return "Processing " + data + " for " + user_context.get(); });

weir::Task<> main() {
  user_context.set("alice");
  const std::string result = co_await process_user_data("report");
  check(result == "Processing report for alice");
  print(result);
}

}  // namespace context_variables

}  // namespace

examples::Section examples::sync_await_001() {
  static constexpr Example kAll[] = {
      {"001-15", "blocking work and a coroutine, in one function", run<basic_calls::main>},
      {"001-16", "the loop is known in the thread", run<event_loop::main>},
      {"001-17", "a coroutine in hand; and a foreign thread", run<coroutine_waiting::main>},
      {"001-18", "context variables", run<context_variables::main>},
  };
  return kAll;
}
