#include "weir/bridge/threaded.h"

#include <gtest/gtest.h>

#include "weir/weir.h"

namespace weir {
namespace {

Task<> calls() {
  auto add = threaded([](int a, int b) { return a + b; });
  EXPECT_EQ(co_await add(1, 2), 3);
  EXPECT_EQ(add.sync_call(1, 2), 3);
  auto fails = threaded([](int) -> int { throw std::runtime_error("no"); });
  EXPECT_THROW(co_await fails(1), std::runtime_error);
  std::vector<Call<int>> many;
  for (int i = 0; i < 1000; ++i) many.push_back(add(i, i));
  auto sums = co_await gather(std::move(many));
  EXPECT_EQ(sums[999], 1998);
}

TEST(Threaded, Calls) { run(calls()); }

Task<int> seven() {
  co_await sleep_for(absl::Milliseconds(1));
  co_return 7;
}
Task<int> twice(int x) { co_return 2 * x; }

Task<> back() {
  auto f = threaded([] { return sync_await(seven()) + sync_await(twice, 4); });
  EXPECT_EQ(co_await f(), 15);
}

TEST(Threaded, SyncAwait) { run(back()); }

Task<int> program() { co_return co_await threaded([] { return 3; })(); }
TEST(Threaded, Entrypoint) { EXPECT_EQ(entrypoint({.pool_size = 1}, program()), 3); }

}  // namespace
}  // namespace weir
