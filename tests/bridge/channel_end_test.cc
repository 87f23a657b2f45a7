// A channel whose readers and senders give up, come from another loop, or lose theirs.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "weir/bridge/channel.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using Channel = FromThreadChannel<int>;

void put_elsewhere(Channel& channel, int item) {
  std::thread([sender = channel.sender(), item] { sender.put(item); }).join();
}

// The notice that the first one asked for is the second one's, too.
Task<> one_of_two_gives_up() {
  Channel channel;
  auto first = spawn(channel.get());
  auto second = spawn(channel.get());
  co_await tests::settle();
  first.cancel();
  EXPECT_THROW(co_await std::move(first), Cancelled);
  put_elsewhere(channel, 1);
  EXPECT_EQ(co_await std::move(second), 1);
}
TEST(Channel, AReaderThatGivesUpLeavesTheNoticeToTheOthers) { run(one_of_two_gives_up()); }

Task<> one_item_after_the_other() {
  Channel channel;
  auto first = spawn(channel.get());
  auto second = spawn(channel.get());
  co_await tests::settle();
  put_elsewhere(channel, 1);
  EXPECT_EQ(co_await std::move(first), 1);
  put_elsewhere(channel, 2);
  EXPECT_EQ(co_await std::move(second), 2);
}
TEST(Channel, WhoStillWaitsAfterANoticeGetsTheNextOne) { run(one_item_after_the_other()); }

Task<> no_overtaking() {
  Channel channel;
  auto first = spawn(channel.get());
  co_await tests::settle();
  channel.put(1);  // its notice is on its way
  auto second = spawn(channel.get());
  co_await tests::settle();
  channel.put(2);
  EXPECT_EQ(co_await std::move(first), 1);
  EXPECT_EQ(co_await std::move(second), 2);
}
TEST(Channel, AGetDoesNotOvertakeOneThatWaits) { run(no_overtaking()); }

// Nobody waits any more, so the next put owes nothing.
Task<> withdrawn_waits() {
  Channel channel;
  auto waiting = spawn(channel.get());
  co_await tests::settle();
  waiting.cancel();
  EXPECT_THROW(co_await std::move(waiting), Cancelled);
  EXPECT_THROW(co_await channel.get(absl::Milliseconds(1)), ChannelTimeout);
  put_elsewhere(channel, 1);
  EXPECT_EQ(channel.stats().reader_wakeups, 0u);
  EXPECT_EQ(co_await channel.get(), 1);
  waiting = spawn(channel.get());
  co_await tests::settle();
  put_elsewhere(channel, 2);
  EXPECT_EQ(channel.stats().reader_wakeups, 1u);
  EXPECT_EQ(co_await std::move(waiting), 2);
}
TEST(Channel, AReaderThatGivesUpIsOwedNoNotice) { run(withdrawn_waits()); }

Task<> cancelled_before_its_deadline() {
  Channel channel;
  auto waiting = spawn(channel.get(absl::Hours(1)));
  co_await tests::settle();
  waiting.cancel();
  EXPECT_THROW(co_await std::move(waiting), Cancelled);
  co_await sleep_for(absl::Nanoseconds(1));  // counted at each turn
  EXPECT_EQ(Loop::current().stats().timers, 0u);
}
TEST(Channel, ACancelledGetHasNoDeadlineAnyMore) { run(cancelled_before_its_deadline()); }

// Tasks that were cancelled take and put nothing.
Task<> cancelled_tasks() {
  Channel channel({.max_size = 2});
  channel.put(1);
  int refused = 0;
  Event never;
  const auto after_cancel = [&](bool gets) -> Task<> {
    try {
      co_await never.wait();
    } catch (const Cancelled&) {
    }
    try {
      if (gets) {
        (void)co_await channel.get();
      } else {
        co_await channel.put_async(2);
      }
    } catch (const Cancelled&) {
      ++refused;
    }
  };
  auto getting = spawn(after_cancel(true));
  auto putting = spawn(after_cancel(false));
  co_await tests::settle();
  getting.cancel();
  putting.cancel();
  co_await gather(std::move(getting), std::move(putting));
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(channel.stats().put, 1u);
  EXPECT_EQ(channel.stats().got, 0u);
}
TEST(Channel, CancelledTasksTakeAndPutNothing) { run(cancelled_tasks()); }

// The channel is this loop's by the put_async() alone.
Task<> putters_alone() {
  for (const bool cancels : {true, false}) {
    Channel channel({.max_size = 1});
    channel.put(1);
    auto putting = spawn(channel.put_async(2));
    co_await tests::settle();
    EXPECT_FALSE(putting.done());
    if (cancels) {
      putting.cancel();
      EXPECT_THROW(co_await std::move(putting), Cancelled);
    } else {
      std::thread([sender = channel.sender()] { sender.close(); }).join();
      EXPECT_THROW(co_await std::move(putting), ChannelClosed);
    }
    EXPECT_EQ(channel.stats().put, 1u);
  }
}
TEST(Channel, APutAsyncThatWaitsIsCancelledOrClosed) { run(putters_alone()); }

TEST(Channel, TryPutOnAClosedChannelThrows) {
  Channel channel;
  channel.close();
  EXPECT_THROW((void)channel.try_put(1), ChannelClosed);
}

TEST(Channel, AnotherLoopIsRefused) {
  auto loop = tests::make_loop();
  Channel channel;
  channel.put(1);
  EXPECT_EQ(loop->run(channel.get()), 1);
  channel.put(2);
  std::thread([&channel] { EXPECT_THROW(run(channel.get()), std::logic_error); }).join();
  EXPECT_EQ(loop->run(channel.get()), 2);
}

TEST(Channel, C17_TheLoopsEndClosesIt) {
  Channel channel;
  channel.put(1);
  EXPECT_EQ(run(channel.get()), 1);
  EXPECT_TRUE(channel.is_closed());
}

// Dropped on a thread, or by its loop, nothing of it is left.
TEST(Channel, NothingIsLeftOfADroppedChannel) {
  for (const bool elsewhere : {false, true}) {
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = held;
    run([](bool on_a_thread, std::shared_ptr<int> item, const std::weak_ptr<int>& watched) -> Task<> {
      std::optional<FromThreadChannel<std::shared_ptr<int>>> channel(std::in_place);
      channel->put(nullptr);
      const std::shared_ptr<int> first = co_await channel->get();
      EXPECT_EQ(first, nullptr);
      channel->put(std::move(item));
      if (on_a_thread) {
        std::thread([dropped = std::move(*channel)] {}).join();
      }
      channel.reset();
      while (!watched.expired()) co_await yield();
    }(elsewhere, std::move(held), watch));
    EXPECT_TRUE(watch.expired());
  }
}

TEST(Channel, SendersAreAssigned) {
  std::optional<Channel> first(std::in_place), second(std::in_place);
  ChannelSender<int> sender = first->sender();
  const ChannelSender<int> other = second->sender();
  sender = other;
  first.reset();
  EXPECT_FALSE(sender.is_closed());
  second.reset();
  EXPECT_TRUE(sender.is_closed());
  EXPECT_TRUE(other.is_closed());
}

// How often another task comes to its turn, until `over`.
Task<int> count_turns(const bool& over) {
  int turns = 0;
  while (!over) {
    ++turns;
    co_await yield();
  }
  co_return turns;
}

// Items that are there leave a turn to others for each few hundred of them.
Task<> turns_of_a_ready_channel() {
  constexpr int kItems = 20'000;
  Channel channel;
  for (int i = 0; i < kItems; ++i) channel.put(i);
  bool over = false;
  auto turns = spawn(count_turns(over));
  for (int i = 0; i < kItems; ++i) EXPECT_EQ(co_await channel.get(), i);
  over = true;
  const int count = co_await std::move(turns);
  EXPECT_GE(count, 10);
  EXPECT_LE(count, 1000);
}
TEST(Channel, N14_ATurnForEachFewHundredItems) { run(turns_of_a_ready_channel()); }

}  // namespace
}  // namespace weir
