// The inbox through every interleaving of small scenarios: no node is lost, and no loop sleeps while one is there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "weir/runtime/inbox.h"
#include "weir/tests/testing/explorer.h"
#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace {

namespace testing = weir::testing;
using testing::ExplorerResult;
using testing::ExplorerThreads;
using testing::Scenario;
using testing::Tracked;
using testing::expect_proven;
using testing::explore;
using testing::require;

using ExploredInbox = BasicInbox<ExplorerThreads::Atomic>;

class Node final : public InboxNode {
 public:
  explicit Node(std::vector<int>& out) : out_(out) {}
  void deliver() noexcept override { out_.push_back(value.value()); }
  Tracked<> value{0};

 private:
  std::vector<int>& out_;
};

// A loop that delivers until it has seen `expected` nodes, and sleeps in between as Engine::enter() does.
struct Loop {
  explicit Loop(int count) {
    for (int i = 0; i < count; ++i) nodes.push_back(std::make_unique<Node>(delivered));
  }

  void push(int number) {
    Node& node = *nodes[static_cast<size_t>(number)];
    node.value = Tracked<>(number);
    switch (inbox.push(node)) {
      case ExploredInbox::Pushed::kOntoSleeper:
        ++wake_ups;
        eventfd.set();
        break;
      case ExploredInbox::Pushed::kRefused:
        require(last_work.value() == 1, "who is refused sees what the loop has done");
        refused.push_back(number);
        break;
      case ExploredInbox::Pushed::kQuietly:
        break;
    }
  }

  void deliver(InboxNode* list) {
    while (list != nullptr) {
      InboxNode& node = *list;
      list = ExploredInbox::next(node);
      node.deliver();
    }
  }

  void turn() {
    deliver(inbox.maybe_filled() ? inbox.take() : nullptr);
    if (delivered.size() == nodes.size() || !inbox.prepare_sleep()) return;
    ++sleeps;
    eventfd.wait();
    deliver(inbox.take());
  }

  ExploredInbox inbox;
  testing::ExploredEvent eventfd;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<int> delivered;
  std::vector<int> refused;
  Tracked<> last_work{0};
  int wake_ups = 0;
  int sleeps = 0;
};

// Two threads push two nodes each.
ExplorerResult explore_pushes(int preemptions) {
  return explore({.preemptions = preemptions, .stale_reads = 2}, [] {
    auto loop = std::make_shared<Loop>(4);
    auto push = [loop](int first) {
      loop->push(first);
      loop->push(first + 1);
    };
    auto run = [loop] {
      while (loop->delivered.size() < 4) loop->turn();
    };
    return Scenario{{[push] { push(0); }, [push] { push(2); }, run}, [loop] {
                      require(loop->wake_ups == loop->sleeps, "a sleep is ended by one wake-up");
                      std::vector<int> low, high;
                      for (const int number : loop->delivered) (number < 2 ? low : high).push_back(number);
                      require(low == std::vector{0, 1} && high == std::vector{2, 3}, "a thread's nodes come in its order");
                    }};
  });
}

TEST(InboxExplorer, EveryNodeArrivesAndOneWakeUpEndsASleep) { expect_proven(explore_pushes(3)); }

// A loop that wakes for another reason, a completion, which takes no wake-up with it. What it does then: nothing, as
// after a moment's work; or it says that it stays awake, and the wake-ups of nodes that come while it does are saved.
ExplorerResult explore_other_reason(bool much_to_do) {
  return explore({.preemptions = 3, .stale_reads = 1}, [much_to_do] {
    auto loop = std::make_shared<Loop>(2);
    auto run = [loop, much_to_do] {
      loop->inbox.prepare_sleep();
      if (much_to_do) loop->inbox.stay_awake();
      while (loop->delivered.size() < 2) loop->turn();
    };
    auto push = [loop] {
      loop->push(0);
      loop->push(1);
    };
    return Scenario{{push, run}, [loop] { require(loop->delivered == std::vector{0, 1}, "in order, once"); }};
  });
}

TEST(InboxExplorer, AWakeForAnotherReasonLosesNothing) {
  expect_proven(explore_other_reason(false));
  expect_proven(explore_other_reason(true));
}

// The loop goes while a thread pushes: each node is delivered, or refused.
ExplorerResult explore_close(bool with_turns) {
  return explore({.preemptions = 4, .stale_reads = 1}, [with_turns] {
    auto loop = std::make_shared<Loop>(2);
    auto push = [loop] {
      for (int i = 0; i < 2; ++i) loop->push(i);
    };
    auto run = [loop, with_turns] {
      loop->last_work = Tracked<>(1);
      if (!with_turns) return loop->deliver(loop->inbox.close());
      while (!loop->inbox.close_if_empty()) loop->deliver(loop->inbox.take());
    };
    return Scenario{{push, run},
                    [loop] { require(loop->delivered.size() + loop->refused.size() == 2, "a node is lost at the end"); }};
  });
}

TEST(InboxExplorer, TheEndLosesNothing) {
  expect_proven(explore_close(true));
  expect_proven(explore_close(false));
}

testing::Explorations all() {  // what takes longest comes last
  return {
      [] { return explore_close(true); },
      [] { return explore_close(false); },
      [] { return explore_other_reason(false); },
      [] { return explore_other_reason(true); },
      [] { return explore_pushes(2); },
  };
}

TEST(InboxExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(InboxExplorer, EveryOrderIsNeeded) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const testing::MutationReport report = testing::mutate(all(), {.answers = false});
  EXPECT_GE(report.mutants, 3);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  // The exchanges decide.
  EXPECT_THAT(report.hints,
              ::testing::ElementsAre("maybe_filled: load tells nothing new", "prepare_sleep: load tells nothing new",
                                     "push: load tells nothing new", "stay_awake: load tells nothing new"));
}

}  // namespace
}  // namespace weir::internal
