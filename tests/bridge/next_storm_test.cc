// next() cancelled at every point: while the producer is far ahead, just behind, asleep, at its end. No item is lost, none
// comes twice, and their order is kept.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

// 0, 1, 2 … with now and then a moment's rest between two.
void count_up(Sink<int>& sink, int items, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < items; ++i) {
    if (random() % 8 == 0) {
      for (uint64_t spins = random() % 4000; spins != 0; --spins) std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    sink.put(i);
  }
}

class Racer {
 public:
  Racer(uint64_t seed, int items, std::size_t max_size)
      : random_(seed), items_(items), stream_([items, seed](Sink<int>& sink) { count_up(sink, items, seed); }, IterableOptions{.max_size = max_size}) {}

  Task<> race() {
    int expected = 0;
    while (expected < items_) {
      auto task = spawn(take());
      switch (random_() % 4) {
        case 0:
          break;
        case 1:
          co_await sleep_for(absl::Nanoseconds(1));
          break;
        default:
          for (uint64_t turns = random_() % 5; turns != 0; --turns) co_await yield();
      }
      task.cancel();
      try {
        const std::optional<int> item = co_await std::move(task);
        ++finished;
        EXPECT_EQ(item, expected);
        if (item != expected) co_return;
        ++expected;
      } catch (const Cancelled&) {
        if (internal::Root::current().interrupted()) throw;
        ++cancelled;
      }
    }
    const std::optional<int> end = co_await stream_.next();
    EXPECT_EQ(end, std::nullopt);
    co_await stream_.close();
  }

  uint64_t cancelled = 0;
  uint64_t finished = 0;

 private:
  Task<std::optional<int>> take() { co_return co_await stream_.next(); }

  std::mt19937_64 random_;
  const int items_;
  IteratorWrapper<int> stream_;
};

TEST(NextStorm, NoItemIsLost) {
  const char* const given = std::getenv("WEIR_SEED");
  const uint64_t first_seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "WEIR_SEED=" << first_seed << "\n";
  const int items = testing::storm(100'000 / 12);
  std::vector<std::unique_ptr<Racer>> racers;
  for (uint64_t i = 0; i < 12; ++i) racers.push_back(std::make_unique<Racer>(first_seed + i, items, i % 4 == 0 ? 0 : i % 4 * i));
  const auto all = [&]() -> Task<> {
    TaskGroup group;
    for (auto& racer : racers) group.spawn(racer->race());
    co_await group.join();
  };
  run(all());
  uint64_t cancelled = 0;
  uint64_t finished = 0;
  for (const auto& racer : racers) {
    cancelled += racer->cancelled;
    finished += racer->finished;
  }
  EXPECT_EQ(finished, static_cast<uint64_t>(items) * 12);
  std::cout << cancelled << " cancelled, " << finished << " finished\n";
}

}  // namespace
}  // namespace weir
