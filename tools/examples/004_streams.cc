// 004, "Separate Thread Execution" and "Working With Synchronous Generators".
#include "weir/tools/examples/example.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

namespace unix_pipe {  // 004-8

// Opening a named pipe waits for its writer: for a thread of its own. Of a generator threaded_separate() makes a stream.
const auto read_unix_pipe = weir::threaded_separate([](std::string path) -> weir::Generator<std::string> {
  std::ifstream pipe(path);
  for (std::string line; std::getline(pipe, line);) co_yield line;
});

const auto write_unix_pipe = weir::threaded_separate([](std::string path) { std::ofstream(path) << "one\ntwo\nthree\n"; });

weir::Task<> main() {
  const std::string path = examples::temporary_path("weir_pipe");
  check(::mkfifo(path.c_str(), 0600) == 0);
  auto writer = write_unix_pipe(path);
  auto lines = read_unix_pipe(path);
  while (auto line = co_await lines.next()) print("Received line:", *line);
  co_await std::move(writer);
  std::remove(path.c_str());
}

}  // namespace unix_pipe

namespace slow_reader {  // 004-15

std::atomic<int> scraped{0};

weir::Generator<int> scrape() {
  for (int page = 1; page <= 100; ++page) {
    for (int i = 0; i < 10; ++i) {
      ++scraped;
      co_yield page;
    }
  }
}

const auto scrape_search_results = weir::threaded_iterable(scrape, {.max_size = 50});

weir::Task<> main() {
  int processed = 0;
  int ahead = 0;
  auto results = scrape_search_results();
  while (auto page = co_await results.next()) {
    // The reader is slow: the generator pauses while 50 results wait, with one more in hand.
    ahead = std::max(ahead, scraped - ++processed);
    co_await weir::sleep_for(seconds(0.1));
    if (processed >= 500) {
      print("Collected enough results from page", *page);
      break;
    }
  }
  co_await results.close();
  check(processed == 500);
  check(ahead <= 51);
}

}  // namespace slow_reader

namespace leave_by_break {  // 004-16

std::atomic<bool> session_closed{false};

class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { session_closed = true; }
};

const auto fetch_paginated_data = weir::threaded_iterable([](std::string /*endpoint*/) -> weir::Generator<int> {
  const Session session;
  for (int record = 0;; ++record) co_yield record;
});

weir::Task<> main() {
  {
    auto records = fetch_paginated_data("/api/data");
    while (auto record = co_await records.next()) {
      if (*record == 3) break;
    }
  }  // dropped: the generator stops where it is, and its session is closed on its thread
  while (!session_closed) co_await weir::sleep_for(seconds(0.001));
  print("session closed");
}

}  // namespace leave_by_break

namespace hundred_iterators {  // 004-18

weir::Generator<int> expensive_items() {
  for (int i = 0; i < 1'000'000; ++i) co_yield i;
}

const auto data_stream = weir::threaded_iterable_separate(expensive_items, {.max_size = 100});

int threads_of_this_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

const auto first_call = weir::threaded([] {});

weir::Task<> main() {
  co_await first_call();  // from now on the pool has its threads
  const int before = threads_of_this_process();
  std::vector<weir::IteratorWrapper<int>> iterators;
  for (int i = 0; i < 100; ++i) iterators.push_back(data_stream());
  print("threads for 100 iterators:", threads_of_this_process() - before);

  (void)co_await iterators.front().next();  // reading one starts its thread
  print("threads for one that is read:", threads_of_this_process() - before);
}

}  // namespace hundred_iterators

}  // namespace

examples::Section examples::streams_004() {
  static constexpr Example kAll[] = {
      {"004-8", "the lines of a named pipe", run<unix_pipe::main>},
      {"004-15", "a slow reader, and a generator that waits for it", run<slow_reader::main>},
      {"004-16", "leaving by break", run<leave_by_break::main>},
      {"004-18", "a hundred iterators, and no thread", run<hundred_iterators::main>},
  };
  return kAll;
}
