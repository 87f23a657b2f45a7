// The reader's end of a channel: get(), its deadlines, several readers, and the loop beside it.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/channel.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using Channel = FromThreadChannel<int>;

TEST(Channel, C01_TheDefaultsAreUnboundedAndForEver) {
  Channel channel;
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(channel.try_put(i));
  Channel bounded({.max_size = 2, .timeout = absl::Milliseconds(1)});
  EXPECT_TRUE(bounded.try_put(1));
  EXPECT_TRUE(bounded.try_put(2));
  EXPECT_FALSE(bounded.try_put(3));
}

TEST(Channel, C05_ItIsFilledBeforeThereIsALoop) {
  Channel channel({.max_size = 3});
  std::thread([sender = channel.sender()] {
    for (int i = 0; i < 3; ++i) sender.put(i);
    sender.close();
  }).join();
  run([](Channel& filled) -> Task<> {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(co_await filled.get(), i);
    EXPECT_THROW(co_await filled.get(), ChannelClosed);
  }(channel));
}

Task<> close_from_everywhere() {
  for (const bool on_the_loop : {true, false}) {
    Channel channel;
    auto getting = spawn(channel.get());
    auto next = spawn(channel.next());
    co_await tests::settle();
    EXPECT_FALSE(getting.done() || next.done());
    if (on_the_loop) {
      channel.close();
    } else {
      std::thread([sender = channel.sender()] { sender.close(); }).join();
    }
    EXPECT_TRUE(channel.is_closed());
    EXPECT_THROW(co_await std::move(getting), ChannelClosed);
    const std::optional<int> end = co_await std::move(next);
    EXPECT_FALSE(end.has_value());
    channel.close();
  }
}
TEST(Channel, C07_CloseWakesEveryWaitingReader) { run(close_from_everywhere()); }

TEST(Channel, C07_TheGuardClosesAtTheEndOfItsScopeAlsoByAnException) {
  Channel channel;
  const auto producer = [sender = channel.sender()] {
    const auto guard = sender.closer();
    sender.put(1);
    throw std::runtime_error("in the scope");
  };
  EXPECT_THROW(producer(), std::runtime_error);
  EXPECT_TRUE(channel.is_closed());
  EXPECT_EQ(run(channel.get()), 1);
}

// Two threads hand a word to and fro, for long, before the item comes: a reader that polled would turn all the while.
Task<> wait_without_turning() {
  Channel channel;
  const std::jthread thread([sender = channel.sender()] {
    std::atomic<int> word{0};
    const std::jthread other([&word] {
      for (int i = 1; i < 1000; i += 2) {
        while (word.load() != i) std::this_thread::yield();
        word.store(i + 1);
      }
    });
    for (int i = 0; i < 1000; i += 2) {
      while (word.load() != i) std::this_thread::yield();
      word.store(i + 1);
    }
    sender.put(1);
  });
  const LoopStats before = Loop::current().stats();
  EXPECT_EQ(co_await channel.get(), 1);
  EXPECT_LE(Loop::current().stats().turns - before.turns, 20u);
}
TEST(Channel, C09_D13_AGetThatWaitsDoesNotPoll) { run(wait_without_turning()); }

Task<> timeouts() {
  Channel channel({.timeout = absl::Milliseconds(2)});
  EXPECT_THROW(co_await channel.get(), ChannelTimeout);                       // the channel's own
  EXPECT_THROW(co_await channel.get(absl::Milliseconds(1)), ChannelTimeout);  // this call's
  EXPECT_THROW(co_await channel.next(), ChannelTimeout);
  EXPECT_THROW(co_await channel, ChannelTimeout);
  for (const absl::Duration for_ever : {absl::ZeroDuration(), absl::Milliseconds(-1)}) {
    auto waiting = spawn(channel.get(for_ever));
    co_await sleep_for(absl::Milliseconds(5));
    EXPECT_FALSE(waiting.done());
    channel.put(1);
    EXPECT_EQ(co_await std::move(waiting), 1);
  }
  channel.put(2);
  EXPECT_EQ(co_await channel.get(absl::Nanoseconds(1)), 2);  // what is there comes, whatever the limit
  try {
    (void)co_await channel.get(absl::Milliseconds(1));
    ADD_FAILURE();
  } catch (const std::runtime_error& late) {
    EXPECT_NE(std::string(late.what()).find("1ms"), std::string::npos) << late.what();
  }
}
TEST(Channel, C10_TheTimeoutOfTheChannelAndOfTheCall) { run(timeouts()); }

// Somebody else takes each item at once: the one who waits gets one of them, or is late, and does not begin again.
Task<> one_deadline() {
  Channel channel;
  auto waits = spawn(channel.get(absl::Milliseconds(20)));
  co_await tests::settle();
  while (!waits.done()) {
    channel.put(1);
    (void)co_await timeout(absl::Milliseconds(1), channel.get());
  }
  try {
    EXPECT_EQ(co_await std::move(waits), 1);
  } catch (const ChannelTimeout&) {
  }
}
TEST(Channel, C11_N13_OneDeadlineForTheWholeCall) { run(one_deadline()); }

Task<> await_channel(Channel& channel) {
  channel.put(1);
  channel.put(2);
  EXPECT_EQ(co_await channel, 1);
  EXPECT_EQ(co_await channel.get(), 2);
  auto waiting = spawn([&channel]() -> Task<int> { co_return co_await channel; });
  co_await tests::settle();
  channel.put(3);
  EXPECT_EQ(co_await std::move(waiting), 3);
  channel.close();
  EXPECT_THROW(co_await channel, ChannelClosed);
}
TEST(Channel, C13_AwaitingTheChannelIsGet) {
  Channel channel;
  run(await_channel(channel));
}

Task<> async_for() {
  Channel channel({.max_size = 2});
  const auto producer = threaded([](ChannelSender<int> sender) {
    const auto guard = sender.closer();
    for (int i = 0; i < 5; ++i) sender.put(i);
  });
  Call<void> producing = producer(channel.sender());
  std::vector<int> items;
  while (auto item = co_await channel.next()) items.push_back(*item);
  EXPECT_EQ(items, (std::vector<int>{0, 1, 2, 3, 4}));
  const std::optional<int> again = co_await channel.next();
  EXPECT_FALSE(again.has_value());
  co_await std::move(producing);
}
TEST(Channel, C14_NextIsPythonsAsyncFor) { run(async_for()); }

Task<> read_all(Channel& channel, std::vector<int>& mine) {
  while (auto item = co_await channel.next()) {
    mine.push_back(*item);
    co_await yield();
  }
}
Task<> several_readers() {
  constexpr int kItems = 3000;
  Channel channel({.max_size = 7});
  std::vector<std::vector<int>> taken(3);
  const std::jthread thread([sender = channel.sender()] {
    const auto guard = sender.closer();
    for (int i = 0; i < kItems; ++i) sender.put(i);
  });
  co_await gather(read_all(channel, taken[0]), read_all(channel, taken[1]), read_all(channel, taken[2]));
  std::vector<bool> seen(kItems, false);
  for (const std::vector<int>& items : taken) {
    int last = -1;
    for (const int item : items) {
      EXPECT_GT(item, last);
      last = item;
      EXPECT_FALSE(seen[static_cast<std::size_t>(item)]);
      seen[static_cast<std::size_t>(item)] = true;
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), kItems);
}
TEST(Channel, C15_SeveralReadersShareTheItems) { run(several_readers()); }

// Readers that share a channel on one loop, seen together, get the items in the order in which they were put.
Task<> order_of_several_readers(size_t max_size) {
  constexpr int kItems = 3000;
  Channel channel({.max_size = max_size});
  std::thread producer([sender = channel.sender()] {
    for (int i = 0; i < kItems; ++i) sender.put(i);
    sender.close();
  });
  std::vector<int> seen;
  const auto read = [&]() -> Task<> {
    while (auto item = co_await channel.next()) seen.push_back(*item);
  };
  co_await gather(read(), read(), read());
  producer.join();
  EXPECT_EQ(seen.size(), size_t{kItems});
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}
TEST(Channel, C15_SeveralReadersSeeTheItemsInTheirOrder) {
  for (const size_t max_size : {0, 1, 3, 100}) run(order_of_several_readers(max_size));
}
// The same of items that are all there, where readers have to let others run.
Task<> order_of_what_is_there() {
  Channel channel;
  for (int i = 0; i < 3000; ++i) channel.put(i);
  channel.close();
  std::vector<int> seen;
  const auto read = [&]() -> Task<> {
    while (auto item = co_await channel.next()) seen.push_back(*item);
  };
  co_await gather(read(), read(), read());
  EXPECT_EQ(seen.size(), 3000u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}
TEST(Channel, C15_SeveralReadersOfAFullChannelSeeTheItemsInTheirOrder) { run(order_of_what_is_there()); }

// A channel is dropped while a reader has an item in hand and has not resumed.
Task<> drop_with_an_item_in_hand() {
  std::optional<Channel> channel(std::in_place);
  auto getting = spawn(channel->get());
  co_await tests::settle();
  channel->put(1);
  while (channel->stats().got == 0) co_await yield();
  channel.reset();
  EXPECT_EQ(co_await getting, 1);
}
TEST(Channel, C12_AnItemInHandOutlivesTheChannel) { run(drop_with_an_item_in_hand()); }

Task<> others_run() {
  Channel channel;
  for (int i = 0; i < 100'000; ++i) channel.put(i);
  int ticks = 0;
  bool over = false;
  auto ticking = spawn([&]() -> Task<> {
    while (!over) {
      ++ticks;
      co_await yield();
    }
  });
  for (int i = 0; i < 100'000; ++i) EXPECT_EQ(co_await channel.get(), i);
  over = true;
  EXPECT_GE(ticks, 100);
  co_await std::move(ticking);
}
TEST(Channel, C16_N14_AChannelThatIsAlwaysReadyLetsOthersRun) { run(others_run()); }

TEST(Channel, C17_D11_TheLoopGoesAndPutNeitherThrowsNorHangs) {
  Channel channel({.max_size = 100});
  run([](Channel& bound) -> Task<> {
    bound.put(1);
    EXPECT_EQ(co_await bound.get(), 1);
  }(channel));
  std::thread([sender = channel.sender()] {
    try {
      for (int i = 0; i < 10; ++i) sender.put(i);
    } catch (const ChannelClosed&) {  // the loop's end has closed it
    }
    sender.close();
  }).join();
}

// A put that sleeps holds nothing that the loop needs: the loop asks, closes, and goes on.
Task<> beside_a_blocked_put() {
  Channel channel({.max_size = 1});
  channel.put(0);
  std::thread blocked([sender = channel.sender()] { EXPECT_THROW(sender.put(1), ChannelClosed); });
  while (channel.stats().producer_sleeps == 0) co_await yield();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(channel.is_closed());
    EXPECT_FALSE(channel.try_put(2));
    co_await yield();
  }
  channel.close();
  blocked.join();
  EXPECT_EQ(co_await channel.get(), 0);
}
TEST(Channel, D09_D16_ABlockedPutHoldsNothingThatTheLoopNeeds) { run(beside_a_blocked_put()); }

// The reader that is woken for the last item, and the one that is woken by the close, at every distance of the two.
TEST(Channel, N01_NoItemIsLostBetweenTheLastPutAndTheClose) {
  run([](int rounds) -> Task<> {
    const auto put_and_close = threaded([](ChannelSender<int> sender, int spins) {
      sender.put(1);
      for (volatile int spin = spins; spin > 0;) spin = spin - 1;
      sender.put(2);
      sender.close();
    });
    for (int i = 0; i < rounds; ++i) {
      Channel channel;
      Call<void> producing = put_and_close(channel.sender(), i % 200);
      int sum = 0;
      while (auto item = co_await channel.next()) sum += *item;
      EXPECT_EQ(sum, 3);
      co_await std::move(producing);
    }
  }(2000 * testing::storm_factor()));
}

}  // namespace
}  // namespace weir
