// A channel's ends, its queue and its room, through every interleaving of small scenarios: no item, no end and no wake-up
// is lost, and no slot is used twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "weir/bridge/channel_ends.h"
#include "weir/tests/testing/explorer.h"
#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace explored {  // named in what a mutation reports

namespace testing = weir::testing;
using testing::ExplorerResult;
using testing::ExplorerThreads;
using testing::Scenario;
using testing::expect_proven;
using testing::explore;
using testing::require;

using Item = testing::Tracked<>;

// Where a ring is: whoever reads it without looking for null needs it to be there.
template <class Pointer>
class RingAtomic : public testing::ExploredAtomic<Pointer> {
 public:
  Pointer load(std::memory_order order, const testing::Place& place = testing::Place::current()) const {
    const Pointer ring = testing::ExploredAtomic<Pointer>::load(order, place);
    if (ring != nullptr || order != std::memory_order_relaxed) return ring;
    require(false, "a ring that is not there yet");
    return this->newest();
  }
};

struct Threads : ExplorerThreads {
  template <class T>
  using Atomic = std::conditional_t<std::is_pointer_v<T>, RingAtomic<T>, testing::ExploredAtomic<T>>;
};

struct WithoutHeavyFence : Threads {
  static bool has_heavy_fence() { return false; }
};

// A channel as ChannelState drives it; the inbox between the threads and the loop is an event.
template <class System = Threads>
struct Channel final : ChannelReader {
  using Ends = ChannelEnds<Item, System, 3, 4>;
  using Put = typename Ends::Put;

  // `first_size`: slots of the first ring.
  explicit Channel(size_t max_size, size_t first_size = 1) : ends(max_size, *this, first_size) {}

  void notify() noexcept override {
    notice_node.value();
    ++notices;
    notice.set();
  }

  // A sender; false: closed.
  bool put(int number) {
    Item item(number);
    Put put = ends.try_put(item);
    if (put == Put::kFull) put = ends.put(item);
    require(put != Put::kFull, "put gave up");
    return put == Put::kPut;
  }
  void close() {
    if (!ends.close()) return;
    ++told;
    told_of_close.set();
  }

  // The loop: the next item, or -1 at the end.
  int get() {
    for (;;) {
      bool ended = false;
      if (Item* const item = ends.front(ended)) {
        const int number = item->value();
        ends.pop();
        return number;
      }
      if (ended) return -1;
      if (wait()) woken();
    }
  }
  bool wait() {
    notice_node.value();
    return ends.wait();
  }
  void woken() {
    ++waits;
    notice.wait();
    notice_node.value();
  }
  Ends ends;
  testing::ExploredEvent notice, told_of_close, senders_done;
  testing::Tracked<> notice_node{0};  // the loop's, but for who owes the notice
  int notices = 0;
  int waits = 0;
  int told = 0;
};

// Two senders of `count` items each; the second to end closes.
template <class System = Threads>
ExplorerResult explore_senders(const testing::ExplorerLimits& limits, size_t max_size, int count, size_t first_size = 1) {
  return explore(limits, [max_size, count, first_size] {
    auto channel = std::make_shared<Channel<System>>(max_size, first_size);
    auto left = std::make_shared<int>(2);
    auto send = [channel, left, count](int first) {
      for (int i = 0; i < count; ++i) require(channel->put(first + i), "put refused");
      if (--*left == 0) channel->close();
    };
    auto receive = [channel, count] {
      std::vector<int> low, high;
      for (int item = channel->get(); item != -1; item = channel->get()) (item < 10 ? low : high).push_back(item);
      const std::vector<int> sent{0, 1, 10, 11};
      require(low == std::vector<int>(sent.begin(), sent.begin() + count), "the first sender's items, in their order");
      require(high == std::vector<int>(sent.begin() + 2, sent.begin() + 2 + count), "the second sender's, in theirs");
    };
    return Scenario{{[send] { send(0); }, [send] { send(10); }, receive},
                    [channel] { require(channel->notices == channel->waits, "a wait is answered once"); }};
  });
}

TEST(ChannelExplorer, EveryItemAndTheEndArrive) {
  for (const size_t max_size : {0, 1, 2, 3}) {
    SCOPED_TRACE(max_size);
    expect_proven(explore_senders({.preemptions = 2, .stale_reads = 1}, max_size, 1));
    expect_proven(explore_senders({.preemptions = 1}, max_size, 2));
  }
  expect_proven(explore_senders({.preemptions = 1}, 2, 2, 2));
  expect_proven(explore_senders<WithoutHeavyFence>({.preemptions = 2, .stale_reads = 1}, 2, 1));
}

// One sender of `count` items, then the close, against a reader who takes them all.
template <class System = Threads>
ExplorerResult explore_sender(const testing::ExplorerLimits& limits, size_t max_size, int count, size_t first_size = 1) {
  return explore(limits, [max_size, count, first_size] {
    auto channel = std::make_shared<Channel<System>>(max_size, first_size);
    return Scenario{{[channel, count] {
                       for (int i = 0; i < count; ++i) channel->put(i);
                       channel->close();
                     },
                     [channel, count] {
                       for (int i = 0; i < count; ++i) require(channel->get() == i, "an item is lost");
                       require(channel->get() == -1, "the end");
                     }},
                    [channel] { require(channel->notices == channel->waits, "a wait is answered once"); }};
  });
}

// N-01: the last item and the close, against a reader that finds the queue empty, or the item's slot claimed and not filled.
TEST(ChannelExplorer, N01_TheLastItemIsNotLostAtTheClose) {
  expect_proven(explore_sender({.preemptions = 4, .stale_reads = 2}, 0, 1));
  expect_proven(explore_sender<WithoutHeavyFence>({.preemptions = 4, .stale_reads = 2}, 0, 1));
}

TEST(ChannelExplorer, TheRingGrowsUnderTheReader) {
  expect_proven(explore_sender({.preemptions = 2, .stale_reads = 1}, 0, 3));
  expect_proven(explore_sender({.preemptions = 2, .stale_reads = 1}, 3, 4));
}

// Two senders find the ring full: one of them adds the next one, perhaps for both.
ExplorerResult explore_growers() {
  return explore({.preemptions = 2, .stale_reads = 1}, [] {
    auto channel = std::make_shared<Channel<>>(0);
    channel->put(1);
    auto send = [channel] { require(channel->put(1), "put refused"); };
    return Scenario{{send, send}, [channel] {
                      for (int i = 0; i < 3; ++i) require(channel->get() == 1, "an item is lost");
                    }};
  });
}

TEST(ChannelExplorer, TheRingGrowsUnderTheSenders) { expect_proven(explore_growers()); }

// The reader closes, or takes one and then closes: senders that sleep in a full channel wake, and what they had queued
// before is nobody's loss.
ExplorerResult explore_reader_closes(int takes) {
  return explore({.preemptions = 1 + (takes == 0), .stale_reads = 1}, [takes] {
    auto channel = std::make_shared<Channel<>>(1);
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

// A close on another thread, while two send and the loop reads to the end: what was put is there, in its order, and no more.
ExplorerResult explore_close_and_drain(const testing::ExplorerLimits& limits, size_t max_size, int count) {
  return explore(limits, [max_size, count] {
    auto channel = std::make_shared<Channel<>>(max_size);
    auto accepted = std::make_shared<std::vector<int>>(2);
    auto received = std::make_shared<std::vector<int>>(2);
    const auto send = [channel, accepted, count](size_t sender) {
      int& mine = (*accepted)[sender];
      while (mine < count && channel->put(static_cast<int>(sender) * 10 + mine)) ++mine;
    };
    const auto receive = [channel, received] {
      for (int item = channel->get(); item != -1; item = channel->get()) {
        int& next = (*received)[item < 10 ? 0 : 1];
        require(item % 10 == next, "in the sender's order");
        ++next;
      }
    };
    return Scenario{{[send] { send(0); }, [send] { send(1); }, receive, [channel] { channel->close(); }},
                    [accepted, received] { require(*accepted == *received, "an item is lost at the close"); }};
  });
}

TEST(ChannelExplorer, ACloseLosesNoItemOfAnySender) {
  for (const size_t max_size : {0, 1, 2}) expect_proven(explore_close_and_drain({.preemptions = 1, .stale_reads = 1}, max_size, 1));
  for (const size_t max_size : {0, 1}) expect_proven(explore_close_and_drain({.preemptions = 1, .stale_reads = 0}, max_size, 2));
}

// A close on another thread, while one that has found the channel full goes to sleep.
ExplorerResult explore_close_of_full() {
  return explore({.preemptions = 3, .stale_reads = 2}, [] {
    auto channel = std::make_shared<Channel<>>(1);
    channel->put(1);
    return Scenario{{[channel] { require(!channel->put(1), "put into a full channel"); }, [channel] { channel->close(); }},
                    nullptr};
  });
}

TEST(ChannelExplorer, ACloseWakesEverySender) {
  for (const int takes : {0, 1, 2}) expect_proven(explore_reader_closes(takes));
  expect_proven(explore_close_of_full());
}

// Room that comes back while two senders wait for it: each gets its turn.
ExplorerResult explore_room() {
  return explore({.preemptions = 2, .stale_reads = 1}, [] {
    auto channel = std::make_shared<Channel<>>(1);
    auto send = [channel] { require(channel->put(1), "put refused"); };
    return Scenario{{send, send, [channel] {
                       for (int i = 0; i < 2; ++i) require(channel->get() == 1, "an item");
                     }},
                    nullptr};
  });
}

TEST(ChannelExplorer, NoSenderIsLeftAsleepBesideRoom) { expect_proven(explore_room()); }

// A full channel of `max_size`, and a sender of one more; the reader takes `takes`, and then does something else.
ExplorerResult explore_full(size_t max_size, int takes, bool idles, int senders = 1) {
  return explore({.preemptions = 4 - senders, .stale_reads = 1}, [=] {
    auto channel = std::make_shared<Channel<>>(max_size, std::bit_ceil(max_size));
    for (size_t i = 0; i < max_size; ++i) channel->put(1);
    auto left = std::make_shared<int>(senders);
    const auto send = [channel, left] {
      require(channel->put(1), "put refused");
      if (--*left == 0) channel->senders_done.set();
    };
    Scenario scenario;
    scenario.threads.assign(static_cast<size_t>(senders), send);
    scenario.threads.push_back([channel, takes, idles] {
      for (int i = 0; i < takes; ++i) require(channel->get() == 1, "an item");
      if (idles) channel->ends.let_in_all();
      channel->senders_done.wait();
    });
    return scenario;
  });
}

TEST(ChannelExplorer, AnIdleLoopLetsSendersGoOn) {
  expect_proven(explore_full(8, 1, true));
  expect_proven(explore_full(8, 2, true, 2));
}
TEST(ChannelExplorer, HalfFreeLetsSendersGoOn) {
  expect_proven(explore_full(4, 2, false));
  expect_proven(explore_full(1, 1, false));
}
// So these rely on it.
TEST(ChannelExplorer, LessThanHalfFreeAndABusyLoopLetNobodyGoOn) {
  EXPECT_NE(explore_full(8, 1, false).failure.find("hang"), std::string::npos);
}

// A task of the loop waits for room and gets that of the item which is taken, whoever else wants it.
ExplorerResult explore_exchange() {
  return explore({.preemptions = 3, .stale_reads = 1}, [] {
    auto channel = std::make_shared<Channel<>>(1);
    channel->put(0);
    return Scenario{{[channel] { require(channel->put(2), "put refused"); },
                     [channel] {
                       bool ended = false;
                       require(channel->ends.front(ended) != nullptr, "the first item");
                       channel->ends.pop_and_keep_room();
                       Item mine(1);
                       require(channel->ends.put_in_exchange(mine) == Channel<>::Put::kPut, "the room is another's");
                       channel->ends.let_go_of_room();
                       for (int i = 1; i < 3; ++i) require(channel->get() == i, "in order");
                     }},
                    nullptr};
  });
}

TEST(ChannelExplorer, TheRoomOfAnItemGoesToWhoWaitsOnTheLoop) { expect_proven(explore_exchange()); }

// A task of the loop waits for room: it is told of the close, or sees it; never both, never neither.
ExplorerResult explore_ask() {
  return explore({.preemptions = 4, .stale_reads = 2}, [] {
    auto channel = std::make_shared<Channel<>>(1);
    return Scenario{{[channel] { channel->close(); },
                     [channel] {
                       if (channel->ends.ask()) channel->told_of_close.wait();
                     }},
                    [channel] { require(channel->told <= 1, "told twice"); }};
  });
}

TEST(ChannelExplorer, WhoAsksLearnsOfTheClose) { expect_proven(explore_ask()); }

// The reader takes its wait back: the notice comes, or it does not.
template <class System = Threads>
ExplorerResult explore_withdrawn_wait() {
  return explore({.preemptions = 3, .stale_reads = 1}, [] {
    auto channel = std::make_shared<Channel<System>>(0, 2);
    return Scenario{{[channel] {
                       channel->put(0);
                       channel->put(1);
                     },
                     [channel] {
                       if (channel->wait() && !channel->ends.cancel_wait()) channel->woken();
                       for (int i = 0; i < 2; ++i) require(channel->get() == i, "in order");
                     }},
                    [channel] { require(channel->notices == channel->waits, "a wait is answered once"); }};
  });
}

TEST(ChannelExplorer, AWithdrawnWaitIsAnsweredOnceOrNotAtAll) {
  expect_proven(explore_withdrawn_wait());
  expect_proven(explore_withdrawn_wait<WithoutHeavyFence>());
}

testing::Explorations all() {
  const testing::ExplorerLimits narrow{.preemptions = 2, .stale_reads = 1};
  const testing::ExplorerLimits wide{.preemptions = 3, .stale_reads = 2};
  return {
      explore_ask,
      explore_growers,
      explore_close_of_full,
      [] { return explore_full(1, 1, false); },
      [] { return explore_full(4, 2, false); },
      [] { return explore_full(8, 1, true); },
      [=] { return explore_sender(wide, 0, 1); },
      [=] { return explore_sender<WithoutHeavyFence>(wide, 0, 1); },
      [=] { return explore_sender(narrow, 1, 2); },
      [=] { return explore_sender(narrow, 0, 3); },
      [] { return explore_reader_closes(0); },
      [] { return explore_reader_closes(1); },
      explore_room,
      explore_exchange,
      [=] { return explore_senders(narrow, 2, 1, 2); },
      [=] { return explore_senders(narrow, 0, 1); },
      [=] { return explore_senders<WithoutHeavyFence>(narrow, 0, 1); },
      explore_withdrawn_wait<Threads>,
      explore_withdrawn_wait<WithoutHeavyFence>,
      [] { return explore_full(1, 2, false, 2); },
  };
}

TEST(ChannelExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(ChannelExplorer, EveryOrderAndWakeUpIsNeeded) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const testing::MutationReport report = testing::mutate(all());
  EXPECT_GT(report.mutants, 25);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  // The exchange or the look that follows decides, or the futex; or the ring that is added, or kept in memory, is one too
  // many.
  EXPECT_THAT(report.hints,
              ::testing::ElementsAre("close: load tells nothing new", "find: load tells nothing new",
                                     "front: load tells nothing new", "grow: load tells nothing new",
                                     "look_further: load tells nothing new", "put: load tells nothing new",
                                     "put: load tells nothing new", "put: load tells nothing new",
                                     "put_slowly: load tells nothing new", "room: load tells nothing new",
                                     "wait: load tells nothing new"));
  // They count.
  EXPECT_THAT(report.unheard, ::testing::ElementsAre("Sleeper: exchange tells nothing new", "wake: exchange tells nothing new",
                                                     "~Sleeper: exchange tells nothing new"));
}

}  // namespace explored
}  // namespace weir::internal
