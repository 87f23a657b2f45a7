#include "weir/runtime/loop.h"

#include <gtest/gtest.h>

#include "weir/runtime.h"

namespace weir {
namespace {

Task<int> answer() { co_return 42; }

Task<int> nested(int depth) {
  if (depth == 0) co_return 0;
  co_return co_await nested(depth - 1) + 1;
}

Task<> nops(int count) {
  for (int i = 0; i < count; ++i) {
    const int result = co_await submit([](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
    EXPECT_EQ(result, 0);
  }
}

std::unique_ptr<Loop> make() {
  auto loop = Loop::create();
  EXPECT_TRUE(loop.ok()) << loop.status();
  return std::move(*loop);
}

TEST(Loop, RunsATask) {
  auto loop = make();
  EXPECT_EQ(loop->run(answer()), 42);
  EXPECT_EQ(loop->run(nested(100'000)), 100'000);
  loop->run(nops(1000));
}

Task<> sleeps() {
  co_await sleep_for(absl::Milliseconds(5));
  auto [a, b] = co_await gather(answer(), answer());
  EXPECT_EQ(a + b, 84);
  auto late = co_await timeout(absl::Milliseconds(1), sleep_for(absl::InfiniteDuration()));
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  auto fine = co_await timeout(absl::Seconds(100), answer());
  EXPECT_EQ(fine.value(), 42);
  auto handle = spawn(sleep_for(absl::InfiniteDuration()));
  co_await yield();
  handle.cancel();
  EXPECT_THROW(co_await handle, Cancelled);
  auto first = co_await race(sleep_for(absl::InfiniteDuration()), answer());
  EXPECT_EQ(first.index(), 1u);
  EXPECT_EQ(co_await shield(answer()), 42);
  TaskGroup group;
  group.spawn(answer());
  co_await group.join();
  int fds[2];
  EXPECT_EQ(pipe(fds), 0);
  char c;
  const auto read = [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, fds[0], &c, 1, 0); };
  auto none = co_await timeout(absl::Milliseconds(1), submit(read));
  EXPECT_EQ(none.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(Loop, Waits) {
  auto loop = make();
  loop->run(sleeps());
  (void)0;
}

Task<> leave_one() {
  (void)spawn(sleep_for(absl::InfiniteDuration()));
  co_await yield();
}

TEST(Loop, DestroyedWithATask) {
  auto loop = make();
  loop->run(leave_one());
}

}  // namespace
}  // namespace weir
