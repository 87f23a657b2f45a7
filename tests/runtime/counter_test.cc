#include "weir/runtime/counter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace weir::internal {
namespace {

TEST(CounterTest, OneThreadCountsAnotherReads) {
  Counter counter;
  std::atomic<bool> over{false};
  std::thread reader([&] {
    uint64_t last = 0;
    while (!over.load()) {
      const uint64_t seen = counter.read();
      EXPECT_GE(seen, last);
      last = seen;
    }
  });
  for (int i = 0; i < 100'000; ++i) counter.add();
  over = true;
  reader.join();
  EXPECT_EQ(counter.read(), 100'000u);
  counter.subtract(99'990);
  counter.add(5);
  EXPECT_EQ(counter.read(), 15u);
  counter.set(3);
  EXPECT_EQ(counter.read(), 3u);
}

}  // namespace
}  // namespace weir::internal
