// 000, "@aiomisc.threaded": a blocking function on the pool.
#include "weir/tools/examples/example.h"

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::print;
using examples::seconds;

namespace basic_usage {  // 000-1

const auto blocking_function = weir::threaded([] {
  absl::SleepFor(seconds(1));
  return std::string("done");
});

weir::Task<> main() {
  // Both run at once.
  auto [first, second] = co_await weir::gather(blocking_function(), blocking_function());
  print(std::vector{first, second});
}

}  // namespace basic_usage

namespace calling_modes {  // 000-2

const auto blocking_function = weir::threaded([] {
  absl::SleepFor(seconds(0.1));
  return std::string("result");
});

weir::Task<> main() {
  std::string result = co_await blocking_function();        // on a thread of the pool
  print(result);
  result = co_await blocking_function.async_call();         // the same, in words
  print(result);
  result = blocking_function.sync_call();                   // here and now: blocks this thread
  print(result);
}

}  // namespace calling_modes

namespace methods {  // 000-3

class MyClass {
 public:
  explicit MyClass(int value) : value_(value) {}
  int instance_method() const { return value_; }
  static std::string class_name() { return "MyClass"; }
  static int static_method(int x) { return x * 2; }

 private:
  int value_;
};

const auto instance_method = weir::threaded(&MyClass::instance_method);
const auto class_method = weir::threaded(&MyClass::class_name);
const auto static_method = weir::threaded(&MyClass::static_method);

weir::Task<> main() {
  const MyClass object(42);
  print(co_await instance_method(&object));
  print(co_await class_method());
  print(co_await static_method(21));
}

}  // namespace methods

}  // namespace

examples::Section examples::threaded_000() {
  static constexpr Example kAll[] = {
      {"000-1", "two blocking calls side by side", run<basic_usage::main>},
      {"000-2", "three ways to call", run<calling_modes::main>},
      {"000-3", "methods", run<methods::main>},
  };
  return kAll;
}
