#include "weir/bridge/channel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <coroutine>
#include <memory>
#include <optional>
#include <stdexcept>
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

// A sender sleeps in a full channel, and the loop takes some.
Task<> sender_goes_on(int max_size, int takes, bool idle) {
  FromThreadChannel<int> channel({.max_size = static_cast<std::size_t>(max_size)});
  for (int i = 0; i < max_size; ++i) channel.put(i);
  Event done;
  std::thread thread([sender = channel.sender(), &done, max_size, loop = LoopHandle::current()] {
    sender.put(max_size);
    loop.post([&done] { done.set(); });
  });
  while (channel.stats().producer_sleeps == 0) co_await yield();
  for (int i = 0; i < takes; ++i) EXPECT_EQ(co_await channel.get(), i);
  while (!idle && channel.stats().put <= static_cast<uint64_t>(max_size)) co_await yield();
  co_await done.wait();
  thread.join();
}

TEST(Channel, ASenderGoesOnWhenThereIsRoom) {
  run(sender_goes_on(1, 1, false));
  run(sender_goes_on(10, 1, false));
  run(sender_goes_on(100, 50, false));
  run(sender_goes_on(100, 1, true));
}

// The loop does not turn any more after the item.
TEST(Channel, ASenderGoesOnBetweenTwoRuns) {
  auto loop = Loop::create();
  ASSERT_TRUE(loop.ok());
  FromThreadChannel<int> channel({.max_size = 10});
  for (int i = 0; i < 10; ++i) channel.put(i);
  std::thread thread([sender = channel.sender()] { sender.put(10); });
  while (channel.stats().producer_sleeps == 0) std::this_thread::yield();
  EXPECT_EQ((*loop)->run(channel.get()), 0);
  thread.join();
}

// The channel goes while there is room that nobody was told of, on the loop and elsewhere, and the loop sleeps.
Task<> drop_with_room(bool elsewhere) {
  std::optional<FromThreadChannel<int>> channel(std::in_place, ChannelOptions{.max_size = 8});
  const ChannelSender<int> sender = channel->sender();
  for (int i = 0; i < 8; ++i) channel->put(i);
  EXPECT_EQ(co_await channel->get(), 0);
  if (elsewhere) {
    std::thread([&channel] { channel.reset(); }).join();
  } else {
    channel.reset();
  }
  co_await sleep_for(absl::Microseconds(1));
  EXPECT_THROW(sender.put(1), ChannelClosed);
}

TEST(Channel, ADroppedChannelLeavesTheLoop) {
  run(drop_with_room(false));
  run(drop_with_room(true));
}

// Moves that may throw: the item then stays where it was, or whoever waits gets what was thrown.
struct Grumpy {
  explicit Grumpy(int n) : number(n) {}
  Grumpy(Grumpy&& other) noexcept(false) : number(other.number) {
    if (moves_left-- == 0) throw std::runtime_error("grumpy");
  }
  int number;
  inline static std::atomic<int> moves_left{1 << 30};
};

Task<> put_grumpy_items() {
  FromThreadChannel<Grumpy> channel({.max_size = 1});
  Grumpy::moves_left = 0;
  EXPECT_THROW(channel.try_put(Grumpy(1)), std::runtime_error);
  Grumpy::moves_left = 1 << 30;
  EXPECT_TRUE(channel.try_put(Grumpy(2)));
  auto putting = spawn(channel.put_async(Grumpy(3)));
  co_await yield();
  EXPECT_FALSE(putting.done());
  EXPECT_EQ((co_await channel.get()).number, 2);
  co_await putting;
  EXPECT_EQ((co_await channel.get()).number, 3);
}

TEST(Channel, ItemsWhoseMovesThrow) { run(put_grumpy_items()); }

// The task that wanted the item learns of it, whether it waited or not; the next one gets the next item.
Task<> get_grumpy_items() {
  FromThreadChannel<Grumpy> channel;
  for (const bool waits : {false, true}) {
    Grumpy::moves_left = 1 << 30;
    if (!waits) channel.put(Grumpy(1));
    auto getting = spawn([&channel]() -> Task<int> { co_return (co_await channel.get()).number; });
    if (waits) {
      co_await yield();
      channel.put(Grumpy(1));
    }
    channel.put(Grumpy(2));
    Grumpy::moves_left = 0;
    EXPECT_THROW((void)co_await getting, std::runtime_error);
    Grumpy::moves_left = 1 << 30;
    EXPECT_EQ((co_await channel.get()).number, 2);
  }
}

TEST(Channel, AMoveThatThrowsIsTheGettersAffair) { run(get_grumpy_items()); }

// A put_async() that finds the channel full, and closed as it begins to wait: its task does not wait in it, so a cancel is
// not told to a frame that may be gone.
Task<> refuse_a_putter_late() {
  auto* const state = new internal::ChannelState<int>(1);
  int item = 0;
  EXPECT_TRUE(state->try_put(item));
  {
    internal::ChannelState<int>::Putter putter(*state, item);
    EXPECT_FALSE(putter.await_ready());
    state->close();
    EXPECT_FALSE(putter.await_suspend(std::noop_coroutine()));
    internal::Root::current().cancel();
    EXPECT_THROW(putter.await_resume(), ChannelClosed);
  }
  state->drop_reader();
  co_return;
}

TEST(Channel, AnAsyncPutThatIsRefusedLeavesNothingBehind) { run(refuse_a_putter_late()); }

// There is room, but less than half of it, when the run ends and the loop stands still.
TEST(Channel, SendersWithRoomGoOnBetweenTwoRuns) {
  constexpr int kMaxSize = 64;  // in smaller ones a sender is woken for each place
  auto loop = Loop::create().value();
  FromThreadChannel<int> channel({.max_size = kMaxSize});
  const auto take = [&channel](int count) -> Task<> {
    for (int i = 0; i < count; ++i) (void)co_await channel.get();
  };
  channel.put(0);
  loop->run(take(1));
  std::thread producer([sender = channel.sender()] {
    for (int i = 0; i < kMaxSize + 1; ++i) sender.put(i);
  });
  while (channel.stats().producer_sleeps == 0) std::this_thread::yield();
  loop->run(take(3));
  producer.join();
  loop->run(take(kMaxSize - 2));
}

// Tasks that wait for room come in their order, before a thread that comes later.
Task<> order_of_putters() {
  FromThreadChannel<int> channel({.max_size = 2});
  channel.put(0);
  channel.put(1);
  std::vector<JoinHandle<void>> putting;
  for (int i = 2; i < 6; ++i) putting.push_back(spawn(channel.put_async(i)));
  co_await yield();
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(co_await channel.get(), i);
    EXPECT_TRUE(i >= 4 || !channel.try_put(100));
  }
  for (auto& put : putting) co_await put;
}

TEST(Channel, TasksThatWaitForRoomComeInTheirOrder) { run(order_of_putters()); }

}  // namespace
}  // namespace weir
