#include "weir/runtime/inbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

namespace weir::internal {
namespace {

class Node final : public InboxNode {
 public:
  explicit Node(int name = 0, std::vector<int>* out = nullptr) : number(name), out_(out) {}
  void deliver() noexcept override { out_->push_back(number); }
  int number;

 private:
  std::vector<int>* out_;
};

std::vector<int> numbers(InboxNode* list) {
  std::vector<int> all;
  for (; list != nullptr; list = Inbox::next(*list)) all.push_back(static_cast<Node&>(*list).number);
  return all;
}

TEST(Inbox, IsTakenOldestFirst) {
  Inbox inbox;
  Node a(1), b(2), c(3);
  EXPECT_FALSE(inbox.maybe_filled());
  EXPECT_EQ(inbox.push(a), Inbox::Pushed::kQuietly);
  EXPECT_EQ(inbox.push(b), Inbox::Pushed::kQuietly);
  EXPECT_EQ(inbox.push(c), Inbox::Pushed::kQuietly);
  EXPECT_TRUE(inbox.maybe_filled());
  EXPECT_EQ(numbers(inbox.take()), (std::vector<int>{1, 2, 3}));
  EXPECT_FALSE(inbox.maybe_filled());
  EXPECT_EQ(inbox.take(), nullptr);
}

TEST(Inbox, OnlyWhoFindsASleeperHasToWakeIt) {
  Inbox inbox;
  Node a(1), b(2), c(3);
  EXPECT_TRUE(inbox.prepare_sleep());
  EXPECT_EQ(inbox.push(a), Inbox::Pushed::kOntoSleeper);
  EXPECT_EQ(inbox.push(b), Inbox::Pushed::kQuietly);
  EXPECT_EQ(numbers(inbox.take()), (std::vector<int>{1, 2}));
  EXPECT_EQ(inbox.push(c), Inbox::Pushed::kQuietly);  // awake since take()
}

TEST(Inbox, DoesNotSleepWhenSomethingIsThere) {
  Inbox inbox;
  Node a(1);
  inbox.push(a);
  EXPECT_FALSE(inbox.prepare_sleep());
  EXPECT_EQ(numbers(inbox.take()), std::vector<int>{1});
  EXPECT_TRUE(inbox.prepare_sleep());
}

TEST(Inbox, AWakeForAnotherReasonLeavesTheSleepingState) {
  Inbox inbox;
  Node a(1);
  EXPECT_TRUE(inbox.prepare_sleep());
  EXPECT_EQ(inbox.take(), nullptr);
  EXPECT_EQ(inbox.push(a), Inbox::Pushed::kQuietly);
}

TEST(Inbox, TheMarkOfASleepStaysUntilSomebodyComesOrTheLoopHasMuchToDo) {
  Inbox inbox;
  Node a(1), b(2);
  EXPECT_TRUE(inbox.prepare_sleep());
  EXPECT_FALSE(inbox.maybe_filled());
  EXPECT_TRUE(inbox.prepare_sleep());
  EXPECT_EQ(inbox.push(a), Inbox::Pushed::kOntoSleeper);
  inbox.stay_awake();  // a node is there: nothing changes
  EXPECT_FALSE(inbox.prepare_sleep());
  EXPECT_EQ(numbers(inbox.take()), std::vector<int>{1});
  EXPECT_TRUE(inbox.prepare_sleep());
  inbox.stay_awake();
  EXPECT_EQ(inbox.push(b), Inbox::Pushed::kQuietly);
}

TEST(Inbox, ClosesOverTheMarkOfASleep) {
  Inbox inbox;
  EXPECT_TRUE(inbox.prepare_sleep());
  EXPECT_TRUE(inbox.close_if_empty());
  inbox.stay_awake();
  EXPECT_TRUE(inbox.closed());
}

TEST(Inbox, RefusesOnceClosedAndGivesTheRest) {
  Inbox inbox;
  Node a(1), b(2);
  inbox.push(a);
  EXPECT_FALSE(inbox.close_if_empty());
  EXPECT_FALSE(inbox.closed());
  EXPECT_EQ(numbers(inbox.close()), std::vector<int>{1});
  EXPECT_TRUE(inbox.closed());
  EXPECT_EQ(inbox.push(b), Inbox::Pushed::kRefused);
  EXPECT_EQ(inbox.close(), nullptr);
}

TEST(Inbox, ClosesWhenEmpty) {
  Inbox inbox;
  Node a(1);
  EXPECT_TRUE(inbox.close_if_empty());
  EXPECT_EQ(inbox.push(a), Inbox::Pushed::kRefused);
}

TEST(Inbox, TheLastNodeMayBeDestroyedByItsDelivery) {
  Inbox inbox;
  class SelfDestroying final : public InboxNode {
   public:
    void deliver() noexcept override { delete this; }
  };
  for (int i = 0; i < 3; ++i) inbox.push(*new SelfDestroying);
  for (InboxNode* list = inbox.take(); list != nullptr;) {
    InboxNode& node = *list;
    list = Inbox::next(node);
    node.deliver();
  }
}

int storm_length(int full) {
  const char* const text = std::getenv("WEIR_STORM");
  const double scale = text != nullptr ? std::atof(text) : 1.0;
  return std::max(100, static_cast<int>(full * scale));
}

// Four writers, one reader that sleeps on a counter as the loop does on its eventfd. Each node arrives once, those of a
// writer in order; the reader never sleeps with a node in the inbox and nobody to wake it: it would not end.
TEST(Inbox, FourWritersLoseNothing) {
  constexpr int kWriters = 4;
  const int each = storm_length(100'000);
  Inbox inbox;
  std::atomic<uint32_t> wake_ups{0};
  std::vector<std::vector<Node>> nodes(kWriters);
  for (auto& of_one : nodes) of_one.resize(static_cast<std::size_t>(each));
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < each; ++i) {
        Node& node = nodes[static_cast<std::size_t>(w)][static_cast<std::size_t>(i)];
        node.number = w * each + i;
        if (inbox.push(node) == Inbox::Pushed::kOntoSleeper) wake_ups.fetch_add(1);
      }
    });
  }
  std::vector<int> next(kWriters, 0);
  for (int arrived = 0; arrived < kWriters * each;) {
    if (inbox.prepare_sleep()) {
      while (wake_ups.load() == 0) std::this_thread::yield();
      EXPECT_EQ(wake_ups.exchange(0), 1u);  // exactly one a sleep
    }
    for (InboxNode* list = inbox.take(); list != nullptr; list = Inbox::next(*list), ++arrived) {
      const int number = static_cast<Node&>(*list).number;
      EXPECT_EQ(number % each, next[static_cast<std::size_t>(number / each)]++);
    }
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(wake_ups.load(), 0u);
  EXPECT_EQ(inbox.take(), nullptr);
}

}  // namespace
}  // namespace weir::internal
