// Items from a thread to the loop: streams, batches, channels, and how fast a blocked producer is closed.

#include <string>
#include <thread>
#include <vector>

#include "weir/bridge/channel.h"
#include "weir/bridge/generator.h"
#include "weir/bridge/iterable.h"
#include "weir/runtime/time.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {
namespace {

Generator<uint64_t> numbers(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) co_yield i;
}

void check(uint64_t sum, uint64_t count) {
  if (sum != count * (count - 1) / 2) throw std::logic_error("the stream has lost items");
}

auto read_stream(size_t capacity) {
  return [capacity](uint64_t count) -> Task<> {
    auto it = threaded_iterable(numbers, {.max_size = capacity})(count);
    uint64_t sum = 0;
    while (const std::optional<uint64_t> item = co_await it.next()) sum += *item;
    check(sum, count);
  };
}

Task<> read_batches(uint64_t count) {
  auto it = threaded_iterable(numbers, {.max_size = 1024})(count);
  uint64_t sum = 0;
  for (;;) {
    const std::vector<uint64_t> items = co_await it.next_batch(1024);
    if (items.empty()) break;
    for (const uint64_t item : items) sum += item;
  }
  check(sum, count);
}

Task<> read_channel(uint64_t count) {
  FromThreadChannel<uint64_t> channel({.max_size = 1024});
  std::thread producer([sender = channel.sender(), count] {
    const auto closer = sender.closer();
    for (uint64_t i = 0; i < count; ++i) sender.put(i);
  });
  uint64_t sum = 0;
  while (const std::optional<uint64_t> item = co_await channel.next()) sum += *item;
  producer.join();
  check(sum, count);
}

// From close() until the producer's frame is destroyed, while it sleeps because the stream is full.
class Closes final : public Side {
 public:
  Measured run(uint64_t count) override {
    std::vector<double> times = loop_->run(close_often(count));
    return Measured(quantile(std::move(times), 0.5));
  }

 private:
  static Task<std::vector<double>> close_often(uint64_t count) {
    std::vector<double> times;
    for (uint64_t i = 0; i < count; ++i) {
      auto it = threaded_iterable(numbers, {.max_size = 1})(1000);
      co_await it.next();
      while (it.stats().put < 2 || it.stats().producer_sleeps == 0) co_await sleep_for(absl::Microseconds(50));
      co_await sleep_for(absl::Microseconds(50));
      const int64_t began = now_ns();
      co_await it.close();
      times.push_back(static_cast<double>(now_ns() - began));
    }
    co_return times;
  }

  std::unique_ptr<Loop> loop_ = make_loop();
};

}  // namespace

void add_stream_rows(Rows& rows) {
  for (const size_t capacity : {1, 2, 16, 128, 1024}) {
    Goals goals;
    goals.ratio = capacity < 128 ? 1.15 : 1.3;
    if (capacity == 1024) goals.value = 15;
    const std::string name = std::to_string(capacity);
    rows.push_back({.name = "stream/" + name, .what = "stream, capacity " + name + ", an item", .goals = goals,
                    .sides = {{"weir", on_loop(read_stream(capacity))}, {"raw", raw::stream(capacity)}}});
  }
  rows.push_back({.name = "stream/batch", .what = "stream, capacity 1024, `next_batch`, an item", .goals = {.ratio = 1.3},
                  .sides = {{"weir", on_loop(read_batches)}, {"raw", raw::stream_in_batches(1024)}}});
  rows.push_back({.name = "channel", .what = "channel, one producer, capacity 1024, an item", .goals = {.ratio = 1.5},
                  .sides = {{"weir", on_loop(read_channel)}, {"weir's stream", on_loop(read_stream(1024))}}});
  rows.push_back({.name = "stream/close", .what = "`close()` of a producer blocked on a full stream", .goals = {.value = 20'000},
                  .sides = {{"weir", [] { return std::make_unique<Closes>(); }}}, .count = 9});
}

}  // namespace weir::bench
