// 001, "Working With Threads".
#include "weir/tools/examples/example.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

namespace fetch {  // 001-5

const auto fetch_url = weir::threaded([](std::string url) {
  absl::SleepFor(seconds(0.01));  // stands for a blocking request
  return "content of " + url;
});

weir::Task<> main() {
  std::vector<weir::Call<std::string>> requests;  // both run at once
  for (const char* url : {"http://example.com", "http://httpbin.org/json"}) requests.push_back(fetch_url(url));
  const std::vector<std::string> results = co_await weir::gather(std::move(requests));
  check(results.size() == 2);
  for (const std::string& content : results) {
    check(content.starts_with("content of"));
    print(content);
  }
}

}  // namespace fetch

namespace pipe {  // 001-7

weir::Generator<std::string> read_lines(std::string /*path*/) {
  std::istringstream simulated_data("line1\nline2\nline3\n");
  for (std::string line; std::getline(simulated_data, line);) {
    absl::SleepFor(seconds(0.01));  // stands for a read that may block for long
    co_yield line;
  }
}

const auto read_unix_pipe = weir::threaded_iterable_separate(read_lines, {.name = "pipe"});

weir::Task<> main() {
  std::vector<std::string> received;
  auto lines = read_unix_pipe("/tmp/my_pipe");
  while (auto line = co_await lines.next()) received.push_back(*line);
  check(received == std::vector<std::string>{"line1", "line2", "line3"});
  print(received);
}

}  // namespace pipe

namespace class_methods {  // 001-8

using Config = std::map<std::string, int>;
using Result = std::map<std::string, std::string>;

class DataProcessor {
 public:
  int default_timeout = 30;

  Result process(std::string data) const {
    std::ranges::transform(data, data.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return {{"result", data}};
  }
  static int utility_function(int value) { return value * 2; }
  static DataProcessor from_config(const Config& config) {
    DataProcessor processor;
    processor.default_timeout = config.at("default_timeout");
    return processor;
  }
};

const auto process = weir::threaded(&DataProcessor::process);
const auto utility_function = weir::threaded(&DataProcessor::utility_function);
const auto from_config = weir::threaded(&DataProcessor::from_config);

weir::Task<> main() {
  const DataProcessor processor;

  const Result result = co_await process(&processor, "data");
  check(result == Result{{"result", "DATA"}});

  const int utility_result = co_await utility_function(10);
  check(utility_result == 20);

  const Config config{{"default_timeout", 60}};
  const DataProcessor new_processor = co_await from_config(config);
  check(new_processor.default_timeout == 60);
  print(result, utility_result, new_processor.default_timeout);
}

}  // namespace class_methods

}  // namespace

examples::Section examples::threads_001() {
  static constexpr Example kAll[] = {
      {"001-5", "two requests at once", run<fetch::main>},
      {"001-7", "the lines of a pipe, on a thread of its own", run<pipe::main>},
      {"001-8", "methods", run<class_methods::main>},
  };
  return kAll;
}
