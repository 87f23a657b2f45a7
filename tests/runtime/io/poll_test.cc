#include "weir/runtime/io/poll.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "weir/runtime.h"
#include "weir/runtime/timeout.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

TEST(Poll, WaitsForEvents) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  on_loop([&]() -> Task<> {
    EXPECT_EQ((co_await poll(fds[1], POLLOUT)).value(), POLLOUT);
    auto waiting = spawn(poll(fds[0], POLLIN));
    co_await enter_once();
    EXPECT_FALSE(waiting.done());
    EXPECT_EQ(::write(fds[1], "x", 1), 1);
    EXPECT_EQ((co_await waiting).value(), POLLIN);
    close(fds[1]);
    EXPECT_EQ((co_await poll(fds[0], POLLIN)).value(), POLLIN | POLLHUP);
  });
  close(fds[0]);
}

TEST(Poll, IsCancelled) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  on_loop([&]() -> Task<> {
    auto waiting = spawn(poll(fds[0], POLLIN));
    co_await enter_once();
    waiting.cancel();
    EXPECT_THROW((void)co_await waiting, Cancelled);
    const auto late = co_await timeout(absl::Milliseconds(1), poll(fds[0], POLLIN));
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  });
  close(fds[0]);
  close(fds[1]);
}

TEST(Poll, SaysWhatIsWrong) {
  on_loop([]() -> Task<> {
    const auto none = co_await poll(-1, POLLIN);
    EXPECT_EQ(none.status().message(), "poll fd -1: Bad file descriptor");
  });
}

}  // namespace
}  // namespace weir
