#include "weir/bridge/channel.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "weir/weir.h"

namespace weir {
namespace {

Task<std::vector<int>> drain(FromThreadChannel<int>& channel) {
  std::vector<int> items;
  while (auto item = co_await channel.next()) items.push_back(*item);
  co_return items;
}

TEST(Channel, C02_ManyThreadsPutAndEachOnesOrderIsKept) {
  constexpr int kThreads = 4, kItems = 5000;
  FromThreadChannel<int> channel({.max_size = 3});
  std::atomic<int> left{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([sender = channel.sender(), &left, t] {
      for (int i = 0; i < kItems; ++i) sender.put(t * kItems + i);
      if (left.fetch_sub(1) == 1) sender.close();
    });
  }
  const std::vector<int> items = run(drain(channel));
  for (auto& thread : threads) thread.join();
  ASSERT_EQ(items.size(), static_cast<std::size_t>(kThreads * kItems));
  std::vector<int> next(kThreads, 0);
  for (int item : items) EXPECT_EQ(item % kItems, next[static_cast<std::size_t>(item / kItems)]++);
  EXPECT_EQ(channel.stats().put, items.size());
  EXPECT_EQ(channel.stats().got, items.size());
}

TEST(Channel, C03_PutOnAClosedChannelThrows) {
  FromThreadChannel<std::unique_ptr<int>> channel;
  auto sender = channel.sender();
  sender.put(std::make_unique<int>(1));
  sender.close();
  sender.close();
  EXPECT_THROW(sender.put(nullptr), ChannelClosed);
  EXPECT_TRUE(sender.is_closed());
}

Task<> get_what_was_put(FromThreadChannel<int>& channel) {
  EXPECT_EQ(co_await channel.get(), 1);
  EXPECT_EQ(co_await channel, 2);
  EXPECT_THROW(co_await channel.get(), ChannelClosed);
  EXPECT_FALSE((co_await channel.next()).has_value());
}

TEST(Channel, C08_WhatWasPutBeforeTheCloseIsDelivered) {
  FromThreadChannel<int> channel;
  channel.put(1);
  channel.put(2);
  channel.close();
  run(get_what_was_put(channel));
}

Task<> late(FromThreadChannel<int>& channel) {
  EXPECT_THROW(co_await channel.get(absl::Milliseconds(1)), ChannelTimeout);
  channel.put(7);
  EXPECT_EQ(co_await channel.get(absl::Milliseconds(1)), 7);  // what is there comes whatever the limit
  auto waiting = spawn(channel.get(absl::ZeroDuration()));
  co_await yield();
  waiting.cancel();
  EXPECT_THROW(co_await waiting, Cancelled);
  channel.put(8);
  EXPECT_EQ(co_await channel.get(), 8);
}

TEST(Channel, C12_ALateOrCancelledGetLosesNothing) {
  FromThreadChannel<int> channel;
  run(late(channel));
}

Task<> full(FromThreadChannel<int>& channel) {
  channel.put(1);
  EXPECT_FALSE(channel.try_put(2));
  EXPECT_THROW(channel.put(2), DeadlockError);
  auto putting = spawn(channel.put_async(2));
  auto cancelled = spawn(channel.put_async(3));
  co_await yield();
  EXPECT_FALSE(putting.done());
  cancelled.cancel();
  EXPECT_EQ(co_await channel.get(), 1);
  co_await putting;
  EXPECT_EQ(co_await channel.get(), 2);
  channel.put(4);
  auto refused = spawn(channel.put_async(5));
  co_await yield();
  std::thread([sender = channel.sender()] { sender.close(); }).join();
  EXPECT_THROW(co_await refused, ChannelClosed);
  EXPECT_EQ(co_await channel.get(), 4);
}

TEST(Channel, C06_N16_AFullChannelOnTheLoopIsADeadlockError) {
  FromThreadChannel<int> channel({.max_size = 1});
  run(full(channel));
}

TEST(Channel, C06_N16_AFullChannelOnTheReadersThreadBetweenTwoRunsIsADeadlockError) {
  auto loop = Loop::create();
  ASSERT_TRUE(loop.ok());
  FromThreadChannel<int> channel({.max_size = 1});
  channel.put(1);
  EXPECT_EQ((*loop)->run(channel.get()), 1);
  channel.put(2);
  EXPECT_THROW(channel.put(3), DeadlockError);
  EXPECT_EQ((*loop)->run(channel.get()), 2);
}

TEST(Channel, C04_DroppingTheChannelWakesAPutThatSleeps) {
  std::optional<FromThreadChannel<int>> channel(std::in_place, ChannelOptions{.max_size = 1});
  channel->put(1);
  std::thread thread([sender = channel->sender()] { EXPECT_THROW(sender.put(2), ChannelClosed); });
  while (channel->stats().producer_sleeps == 0) std::this_thread::yield();
  channel.reset();
  thread.join();
}

}  // namespace
}  // namespace weir
