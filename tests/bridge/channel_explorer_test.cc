// The channel's two words, its queue and its room, through every interleaving of small scenarios: no item, no end and no
// wake-up is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "weir/bridge/channel_queue.h"
#include "weir/bridge/channel_room.h"
#include "weir/tests/testing/explorer.h"
#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace {

namespace testing = weir::testing;
using testing::ExplorerResult;
using testing::ExplorerThreads;
using testing::Scenario;
using testing::expect_proven;
using testing::explore;
using testing::require;

using Item = testing::Tracked<testing::TrackedIn::kHeap>;

// A channel as ChannelState drives it; the inbox between the threads and the loop is an event.
struct Channel {
  using Queue = ChannelQueue<Item, ExplorerThreads>;
  using Room = ChannelRoom<ExplorerThreads>;
  using Taken = Room::Taken;

  explicit Channel(size_t max_size) : room(max_size) {}
  ~Channel() { Queue::free_list(taken); }

  // A sender; false: closed.
  bool put(int number) {
    if (room.take() == Taken::kClosed) return false;
    auto node = std::make_unique<ChannelNode<Item>>(Item(number));
    const Queue::Put put = queue.put(*node);
    if (put == Queue::Put::kClosed) return false;
    (void)node.release();
    if (put == Queue::Put::kOwesNotice) notify();
    return true;
  }
  void close() {
    if (room.close()) {
      ++told;
      told_of_close.set();
    }
    if (queue.close()) notify();
  }
  void notify() {
    notice_node.value();
    ++notices;
    notice.set();
  }

  // The loop: the next item, or -1 at the end.
  int get() {
    for (;;) {
      bool ended = false;
      if (taken == nullptr) taken = queue.take(ended);
      if (taken != nullptr) {
        const std::unique_ptr<ChannelNode<Item>> node(std::exchange(taken, taken->next));
        const int number = node->item.value();
        room.give_back();
        return number;
      }
      if (ended) return -1;
      notice_node.value();
      if (!queue.wait()) continue;
      ++waits;
      notice.wait();
    }
  }

  Queue queue;
  Room room;
  testing::ExploredEvent notice, told_of_close;
  testing::Tracked<> notice_node{0};  // the loop's, but for who owes the notice
  ChannelNode<Item>* taken = nullptr;
  int notices = 0;
  int waits = 0;
  int told = 0;
};

// Two senders of `count` items each; the second to end closes.
ExplorerResult explore_senders(size_t max_size, int count) {
  return explore({.preemptions = 2, .stale_reads = 1}, [max_size, count] {
    auto channel = std::make_shared<Channel>(max_size);
    auto left = std::make_shared<int>(2);
    auto send = [channel, left, count](int first) {
      for (int i = 0; i < count; ++i) require(channel->put(first + i), "put refused");
      if (--*left == 0) channel->close();
    };
    auto receive = [channel, count] {
      std::vector<int> low, high;
      for (int item = channel->get(); item != -1; item = channel->get()) (item < 10 ? low : high).push_back(item);
      const std::vector<int> sent{0, 1, 10, 11};
      const auto end = [count](int first) { return first + count; };
      require(low == std::vector<int>(sent.begin(), sent.begin() + end(0)), "the first sender's items, in their order");
      require(high == std::vector<int>(sent.begin() + 2, sent.begin() + end(2)), "the second sender's items, in their order");
    };
    return Scenario{{[send] { send(0); }, [send] { send(10); }, receive},
                    [channel] { require(channel->notices == channel->waits, "a wait is answered once"); }};
  });
}

TEST(ChannelExplorer, EveryItemAndTheEndArrive) {
  for (const size_t max_size : {0, 1, 2}) expect_proven(explore_senders(max_size, 2));
}

// N-01: the last item and the close, against a reader that finds the queue empty.
ExplorerResult explore_last_item() {
  return explore({.preemptions = 5, .stale_reads = 2}, [] {
    auto channel = std::make_shared<Channel>(0);
    return Scenario{{[channel] {
                       channel->put(7);
                       channel->close();
                     },
                     [channel] {
                       require(channel->get() == 7, "the last item is lost");
                       require(channel->get() == -1, "the end");
                     }},
                    nullptr};
  });
}

TEST(ChannelExplorer, N01_TheLastItemIsNotLostAtTheClose) { expect_proven(explore_last_item()); }

// The reader closes, or takes one and then closes: senders that sleep in a full channel wake, and what they had queued
// before is nobody's loss.
ExplorerResult explore_reader_closes(int takes) {
  return explore({.preemptions = 2, .stale_reads = 1}, [takes] {
    auto channel = std::make_shared<Channel>(1);
    auto send = [channel] {
      while (channel->put(1)) {
      }
    };
    return Scenario{{send, send, [channel, takes] {
                       for (int i = 0; i < takes; ++i) require(channel->get() == 1, "an item");
                       channel->close();
                     }},
                    nullptr};
  });
}

TEST(ChannelExplorer, ACloseWakesEverySender) {
  for (const int takes : {0, 1, 2}) expect_proven(explore_reader_closes(takes));
}

// Room that comes back while two senders wait for it: each gets its turn.
ExplorerResult explore_room() {
  return explore({.preemptions = 2, .stale_reads = 1}, [] {
    auto channel = std::make_shared<Channel>(1);
    auto send = [channel] { require(channel->put(1), "put refused"); };
    return Scenario{{send, send, [channel] {
                       for (int i = 0; i < 2; ++i) require(channel->get() == 1, "an item");
                     }},
                    nullptr};
  });
}

TEST(ChannelExplorer, NoSenderIsLeftAsleepBesideRoom) { expect_proven(explore_room()); }

// A task of the loop waits for room: it is told of the close, or sees it; never both, never neither.
ExplorerResult explore_ask() {
  return explore({.preemptions = 4, .stale_reads = 2}, [] {
    auto channel = std::make_shared<Channel>(1);
    return Scenario{{[channel] { channel->close(); },
                     [channel] {
                       if (channel->room.ask()) channel->told_of_close.wait();
                     }},
                    [channel] { require(channel->told <= 1, "told twice"); }};
  });
}

TEST(ChannelExplorer, WhoAsksLearnsOfTheClose) { expect_proven(explore_ask()); }

// The reader takes its wait back: the notice comes, or it does not.
ExplorerResult explore_withdrawn_wait() {
  return explore({.preemptions = 4, .stale_reads = 1}, [] {
    auto channel = std::make_shared<Channel>(0);
    return Scenario{{[channel] {
                       channel->put(0);
                       channel->put(1);
                     },
                     [channel] {
                       channel->notice_node.value();
                       if (channel->queue.wait() && !channel->queue.cancel_wait()) {
                         ++channel->waits;
                         channel->notice.wait();
                       }
                       channel->notice_node.value();
                       for (int i = 0; i < 2; ++i) require(channel->get() == i, "in order");
                     }},
                    [channel] { require(channel->notices == channel->waits, "a wait is answered once"); }};
  });
}

TEST(ChannelExplorer, AWithdrawnWaitIsAnsweredOnceOrNotAtAll) { expect_proven(explore_withdrawn_wait()); }

TEST(ChannelExplorer, EveryOrderAndWakeUpIsNeeded) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const testing::MutationReport report = testing::mutate({
      explore_last_item,
      explore_room,
      explore_ask,
      explore_withdrawn_wait,
      [] { return explore_reader_closes(0); },
      [] { return explore_reader_closes(1); },
      [] { return explore_senders(1, 1); },
  });
  EXPECT_GT(report.mutants, 10);
  // These three stand for a processor that lets a load overtake an earlier exchange. In the explorer's memory exchanges
  // are not overtaken, and a sender that sleeps has passed the system call's fence.
  EXPECT_THAT(report.survivors,
              ::testing::ElementsAre("give_back: exchange seq_cst -> acq_rel", "take: exchange seq_cst -> acq_rel",
                                     "try_take: load seq_cst -> acquire"));
}

}  // namespace
}  // namespace weir::internal
