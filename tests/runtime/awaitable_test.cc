#include "weir/runtime/awaitable.h"

#include <gtest/gtest.h>

#include <concepts>
#include <coroutine>
#include <string>
#include <utility>
#include <variant>

#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {

// An awaiter itself, one with a member operator, one with a free operator.
class Plain {
 public:
  explicit Plain(std::string text) : text_(std::move(text)) {}
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  std::string&& await_resume() noexcept { return std::move(text_); }

 private:
  std::string text_;
};
class Free {
 public:
  Free() = default;
};
inline Plain operator co_await(Free&&) { return Plain("free"); }

namespace {

static_assert(internal::Awaitable<Plain> && internal::Awaitable<Free> && internal::Awaitable<Task<int>>);
static_assert(internal::Awaitable<JoinHandle<int>> && internal::Awaitable<std::suspend_never>);
static_assert(!internal::Awaitable<int> && !internal::Awaitable<std::string>);
static_assert(std::same_as<internal::await_result_t<Plain>, std::string&&>);
static_assert(std::same_as<internal::awaited_t<Plain>, std::string>);
static_assert(std::same_as<internal::awaited_t<Task<int&>>, int&>);
static_assert(std::same_as<internal::awaited_t<Task<>>, void>);

TEST(AwaitableTest, AnyAwaitableCanBeRunSpawnedGatheredAndTimed) {
  testing::TestLoop loop;
  EXPECT_EQ(loop.run(Plain("plain")), "plain");
  EXPECT_EQ(loop.run(Free()), "free");
  const auto body = []() -> Task<> {
    EXPECT_EQ(co_await spawn(Plain("spawned")), "spawned");
    const auto [a, b] = co_await gather(Plain("gathered"), Free());
    EXPECT_EQ(a + b, "gatheredfree");
    EXPECT_EQ((co_await timeout(absl::Hours(1), Plain("timed"))).value(), "timed");
    EXPECT_EQ(co_await shield(Free()), "free");
    EXPECT_EQ(std::get<0>(co_await race(Plain("raced"), sleep_for(absl::InfiniteDuration()))), "raced");
  };
  loop.run(body());
}

}  // namespace
}  // namespace weir
