// The way home of blocks through every interleaving of small scenarios: none is lost, the owner hears of each, and what it
// was told with is free when the next one tells it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "weir/runtime/io/block_stack.h"
#include "weir/tests/testing/explorer.h"

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

using Stack = BasicBlockStack<ExplorerThreads::Atomic>;

// An owner that is told through one node, as a store of blocks is by the loop's inbox.
struct Owner {
  explicit Owner(uint32_t blocks) {
    for (uint32_t i = 0; i < blocks; ++i) {
      links.push_back(std::make_unique<Tracked<>>(-1));
      references.push_back(std::make_unique<Tracked<>>(0));
    }
    home.resize(blocks);
  }

  void give(uint32_t block) {
    int befores = 0;
    const auto link = [this](uint32_t which, uint32_t older) { *links[which] = Tracked<>(older == Stack::kEmpty ? -1 : static_cast<int>(older)); };
    switch (stack.give(block, link, [&befores] { ++befores; })) {
      case Stack::Given::kFirst:
        require(befores == 1, "the first one has not prepared");
        node = Tracked<>(static_cast<int>(block));
        event.set();
        break;
      case Stack::Given::kQuietly:
        break;
      case Stack::Given::kClosed:
        require(references[block]->value() == 1, "closed without a reference for the lease");
        break;
    }
  }

  void take_home(uint32_t newest) {
    for (int block = newest == Stack::kEmpty ? -1 : static_cast<int>(newest); block >= 0;) {
      ++home[static_cast<size_t>(block)];
      ++count;
      block = links[static_cast<size_t>(block)]->value();
    }
  }

  // As the loop: told, it has done with the node before it takes.
  void wait_and_take() {
    event.wait();
    (void)node.value();
    take_home(stack.take());
  }

  void close() {
    for (auto& reference : references) *reference = Tracked<>(1);
    take_home(stack.close());
  }

  Stack stack;
  testing::ExploredEvent event;
  Tracked<> node{0};
  std::vector<std::unique_ptr<Tracked<>>> links;
  std::vector<std::unique_ptr<Tracked<>>> references;
  std::vector<int> home;
  int count = 0;
};

// Two threads give two blocks each, and the owner is told as often as it must be.
ExplorerResult explore_home() {
  return explore({.preemptions = 2, .stale_reads = 1}, [] {
    auto owner = std::make_shared<Owner>(4);
    auto give = [owner](uint32_t first) {
      owner->give(first);
      owner->give(first + 1);
    };
    auto take = [owner] {
      while (owner->count < 4) owner->wait_and_take();
    };
    return Scenario{{[give] { give(0); }, [give] { give(2); }, take}, [owner] {
                      for (const int times : owner->home) require(times == 1, "a block is not home, or twice");
                    }};
  });
}

TEST(BlockStackExplorer, EveryBlockComesHomeOnce) { expect_proven(explore_home()); }

// The owner closes while blocks are given: each is home, or knows that it is closed.
ExplorerResult explore_close() {
  return explore({.preemptions = 3, .stale_reads = 1}, [] {
    auto owner = std::make_shared<Owner>(2);
    return Scenario{{[owner] { owner->give(0); }, [owner] { owner->give(1); }, [owner] { owner->close(); }}, [owner] {
                      for (const int times : owner->home) require(times <= 1, "a block is home twice");
                    }};
  });
}

TEST(BlockStackExplorer, ClosingTellsTheRest) { expect_proven(explore_close()); }

testing::Explorations all() {
  return {explore_home, explore_close};
}

TEST(BlockStackExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(BlockStackExplorer, EveryOrderIsNeeded) {
  const testing::MutationReport report = testing::mutate(all(), {.answers = false});
  EXPECT_GE(report.mutants, 4);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  EXPECT_THAT(report.hints, ::testing::ElementsAre("give: load tells nothing new"));  // a guess: the exchange decides
}

}  // namespace
}  // namespace weir::internal
