// 000, "Threaded iterators": a blocking generator, read by a coroutine.
#include "weir/tools/examples/example.h"

#include <cstdio>
#include <fstream>
#include <stdexcept>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::print;
using examples::seconds;

std::string stripped(const std::string& line) { return std::string(absl::StripAsciiWhitespace(line)); }

namespace read_large_file {  // 000-5

weir::Generator<std::string> read_lines(std::string path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot open " + path);
  for (std::string line; std::getline(file, line);) co_yield stripped(line);
}

const auto read_large_file = weir::threaded_iterable(read_lines);

weir::Task<> print_all(weir::IteratorWrapper<std::string>& lines) {
  while (auto line = co_await lines.next()) print(*line);
}

weir::Task<> main(examples::Arguments arguments) {
  co_await weir::with(read_large_file(arguments.empty() ? "/etc/hosts" : arguments[0]), print_all);
}

}  // namespace read_large_file

namespace buffer_size {  // 000-6

// At most two items wait.
const auto produce_data = weir::threaded_iterable(
    []() -> weir::Generator<int> {
      for (int i = 0; i < 1000; ++i) co_yield i;  // sleeps here while two wait
    },
    {.max_size = 2});

weir::Task<> main() {
  auto data = produce_data();
  int count = 0;
  while (auto item = co_await data.next()) examples::check(*item == count++);
  print(count, "items");
}

}  // namespace buffer_size

namespace tail {  // 000-7

weir::Generator<std::string> follow(std::stop_token stop, std::string path) {
  std::ifstream file(path);
  file.seekg(0, std::ios::end);
  for (std::string line; !stop.stop_requested();) {
    if (std::getline(file, line)) {
      co_yield stripped(line);
    } else {
      file.clear();
      absl::SleepFor(seconds(0.01));  // at the end of the file: it may grow
    }
  }
}

const auto tail_file = weir::threaded_iterable_separate(follow, {.name = "tail"});

weir::Task<> append_lines(std::string path) {
  std::ofstream file(path, std::ios::app);
  for (;;) {
    file << "a new line" << std::endl;
    co_await weir::sleep_for(seconds(0.01));
  }
}

weir::Task<> print_three(std::string path) {
  auto lines = tail_file(path);
  for (int i = 0; i < 3; ++i) print(*co_await lines.next());
  co_await lines.close();
}

weir::Task<> main() {
  const std::string path = examples::temporary_path("weir_tail");
  std::ofstream(path) << "an old line\n";
  co_await weir::race(print_three(path), append_lines(path));
  std::remove(path.c_str());
}

}  // namespace tail

namespace cleanup {  // 000-8

const auto infinite_generator = weir::threaded_iterable(
    []() -> weir::Generator<int> {
      for (int counter = 0;; ++counter) co_yield counter;
    },
    {.max_size = 2});

weir::Task<> until_ten(weir::IteratorWrapper<int>& generator) {
  while (auto value = co_await generator.next()) {
    if (*value >= 10) {
      print("stopped at", *value);
      break;
    }
  }
}

weir::Task<> main() {
  // First way: with() closes, and waits for the generator's cleanup, however its body ends.
  co_await weir::with(infinite_generator(), until_ten);

  // Second way: by hand.
  auto generator = infinite_generator();
  co_await until_ten(generator);
  co_await generator.close();
}

}  // namespace cleanup

}  // namespace

examples::Section examples::iterators_000() {
  static constexpr Example kAll[] = {
      {"000-5", "the lines of a file [path]", run<read_large_file::main>},
      {"000-6", "a buffer of two items", run<buffer_size::main>},
      {"000-7", "following a file that grows, on a thread of its own", run<tail::main>},
      {"000-8", "leaving an infinite generator", run<cleanup::main>},
  };
  return kAll;
}
