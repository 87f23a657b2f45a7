// 000, "Calling async from threads".
#include "weir/tools/examples/example.h"

#include <stdexcept>

#include "weir/weir.h"

namespace {

using examples::print;
using examples::seconds;

namespace thread_to_loop {  // 000-11

weir::Task<std::string> async_operation() {
  co_await weir::sleep_for(seconds(0.1));
  co_return "async result";
}

const auto thread_function = weir::threaded([] {
  // From the thread: the loop is known, as weir runs this for it.
  return "got: " + weir::sync_await(async_operation());
});

weir::Task<> main() { print(co_await thread_function()); }

}  // namespace thread_to_loop

namespace explicit_loop {  // 000-12

weir::Task<std::map<std::string, std::string>> fetch_data() {
  co_await weir::sleep_for(seconds(0.1));
  std::map<std::string, std::string> data{{"key", "value"}};
  co_return data;
}

const auto process_in_thread = weir::threaded([](weir::LoopHandle loop) {
  const auto data = weir::sync_wait_coroutine(loop, fetch_data());
  return data.at("key");
});

// No loop runs yet at the call: it is submitted when the loop awaits it.
void program(const examples::Arguments&) {
  auto loop = weir::Loop::create();
  if (!loop.ok()) throw std::runtime_error(std::string(loop.status().message()));
  print((*loop)->run(process_in_thread((*loop)->handle())));
}

}  // namespace explicit_loop

}  // namespace

examples::Section examples::sync_await_000() {
  static constexpr Example kAll[] = {
      {"000-11", "a thread awaits a coroutine", run<thread_to_loop::main>},
      {"000-12", "a thread awaits a coroutine on the loop it was given", explicit_loop::program},
  };
  return kAll;
}
