// 000, "@aiomisc.threaded_separate": long work on a thread of its own.
#include "weir/tools/examples/example.h"

#include <stop_token>

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::print;
using examples::seconds;

namespace short_and_long {  // 000-4

// Short: a thread of the pool.
const auto quick_task = weir::threaded([] {
  absl::SleepFor(seconds(0.1));
  return std::string("quick");
});

// Long: a thread of its own.
const auto long_running_task = weir::threaded_separate(
    [](std::stop_source stop) {
      while (!stop.stop_requested()) {
        print("Working...");
        absl::SleepFor(seconds(1));
      }
      return std::string("finished");
    },
    {.name = "long"});

weir::Task<> stop_later(std::stop_source stop) {
  co_await weir::sleep_for(seconds(5));
  stop.request_stop();
}

weir::Task<> main() {
  const std::stop_source stop;
  const auto later = weir::spawn(stop_later(stop));
  auto [quick, finished] = co_await weir::gather(quick_task(), long_running_task(stop));
  print(std::vector{quick, finished});
}

}  // namespace short_and_long

}  // namespace

examples::Section examples::threaded_separate_000() {
  static constexpr Example kAll[] = {
      {"000-4", "a short task on the pool, a long one on a thread of its own", run<short_and_long::main>},
  };
  return kAll;
}
