#include "weir/runtime/children.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <stdexcept>

#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/test_loop.h"

namespace weir::internal {
namespace {

using ::testing::ElementsAre;
using weir::testing::TestLoop;

Task<> turns(int count, bool fails = false) {
  for (int i = 0; i < count; ++i) co_await yield();
  if (fails) throw std::runtime_error("failed");
}
Task<> stubborn() {
  try {
    co_await sleep_for(absl::InfiniteDuration());
  } catch (const Cancelled&) {
    throw std::runtime_error("stubborn");
  }
}

std::array<JoinStateBase*, 3> states(std::array<JoinHandle<>, 3>& handles) {
  return {&JoinAccess::state(handles[0]), &JoinAccess::state(handles[1]), &JoinAccess::state(handles[2])};
}

TEST(ChildrenTest, NobodyDecidesWhenAllSucceed) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    std::array<JoinHandle<>, 3> handles{spawn(turns(3)), spawn(turns(1)), spawn(turns(2))};
    const auto all = states(handles);
    Children children(all, Children::Until::kAllSucceed);
    co_await children;
    EXPECT_EQ(children.decider(), Children::kNone);
    children.settle();
  };
  loop.run(body());
}

TEST(ChildrenTest, TheFirstFailureDecides) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    std::array<JoinHandle<>, 3> handles{spawn(turns(5, true)), spawn(turns(1, true)), spawn(stubborn())};
    const auto all = states(handles);
    Children children(all, Children::Until::kAllSucceed);
    co_await children;
    EXPECT_EQ(children.decider(), 1u);
    EXPECT_THROW(children.settle(), std::runtime_error);
    for (JoinStateBase* state : all) EXPECT_TRUE(state->done());
  };
  loop.run(body());
  EXPECT_THAT(loop.reports(), ElementsAre(": stubborn"));
}

TEST(ChildrenTest, TheFirstEndDecides) {
  TestLoop loop;
  const auto body = []() -> Task<> {
    std::array<JoinHandle<>, 3> handles{spawn(turns(5, true)), spawn(turns(3)), spawn(turns(1))};
    const auto all = states(handles);
    Children children(all, Children::Until::kFirstEnds);
    co_await children;
    EXPECT_EQ(children.decider(), 2u);
    children.settle();
  };
  loop.run(body());
}

}  // namespace
}  // namespace weir::internal
