// Channels: threads and a coroutine that put, a reader that is late, gives up, closes; now and then a sender closes.
#include "weir/tools/storm/primitives.h"

#include <array>
#include <functional>
#include <optional>

namespace storm {
namespace {

constexpr int kSenderThreads = 2;  // the last sender is a coroutine
constexpr int kSenders = kSenderThreads + 1;
constexpr int kItems = 100;

Witness item_of(std::atomic<int64_t>& alive, int sender, int number) {
  return Witness(alive, static_cast<uint64_t>(sender * 1000 + number));
}

// Puts its items, or as many as it does before it closes; gives how many it could put.
int put_all(weir::ChannelSender<Witness> channel, std::atomic<int64_t>& alive, int sender, int closes_after, Random random) {
  int put = 0;
  try {
    while (put < kItems) {
      if (put == closes_after) channel.close();
      const Witness item = item_of(alive, sender, put);
      if (!random.one_in(4) || !channel.try_put(item)) channel.put(item);
      ++put;
      if (random.one_in(32)) work(random);
    }
  } catch (const weir::ChannelClosed&) {
  }
  return put;
}

const auto sender_thread = weir::threaded(put_all);

weir::Task<int> put_on_the_loop(weir::ChannelSender<Witness> channel, std::atomic<int64_t>& alive) {
  int put = 0;
  try {
    for (; put < kItems; ++put) co_await channel.put_async(item_of(alive, kSenderThreads, put));
  } catch (const weir::ChannelClosed&) {
  }
  co_return put;
}

// Each sender's items come in its order.
class Order {
 public:
  bool take(const Witness& item) {
    uint64_t& next = next_.at(item.number() / 1000);
    return item.number() % 1000 == next++;
  }
  uint64_t taken() const { return next_[0] + next_[1] + next_[2]; }

 private:
  std::array<uint64_t, kSenders> next_{};
};

weir::Task<> read(Weather& weather, weir::FromThreadChannel<Witness>& channel, Order& order, uint64_t wanted) {
  while (order.taken() < wanted) {
    try {
      const absl::Duration limit = weather.random.one_in(16) ? absl::Microseconds(1 + weather.random.below(20)) : absl::ZeroDuration();
      const Witness item = co_await channel.get(limit);
      weather.expect(order.take(item), "a channel is out of order");
    } catch (const weir::ChannelTimeout&) {
    } catch (const weir::ChannelClosed&) {
      break;
    }
  }
}

weir::Task<> one_channel(Weather& weather) {
  Random& random = weather.random;
  static constexpr std::size_t kSizes[] = {0, 1, 2, 64};
  weir::FromThreadChannel<Witness> channel({.max_size = kSizes[random.below(4)]});
  const bool closes = random.one_in(4);
  std::vector<weir::Call<int>> senders;
  for (int i = 0; i < kSenderThreads; ++i) {
    const int closes_after = closes ? random.below(kItems) : kItems;
    senders.push_back(sender_thread(channel.sender(), std::ref(weather.tally.alive), i, closes_after, random.split()));
  }
  auto on_the_loop = weir::spawn(put_on_the_loop(channel.sender(), weather.tally.alive), "sender");
  constexpr uint64_t kAll = kSenders * kItems;
  Order order;
  const bool all = random.one_in(2);
  co_await read(weather, channel, order, all ? kAll : static_cast<uint64_t>(random.below(kAll)));
  channel.close();

  uint64_t put = static_cast<uint64_t>(co_await std::move(on_the_loop));
  const std::vector<int> counts = co_await weir::gather(std::move(senders));
  for (const int count : counts) put += static_cast<uint64_t>(count);
  if (all && !closes) weather.expect(put == kAll, "a channel took more or less than was put");
  // What was put before the close is delivered.
  while (std::optional<Witness> item = co_await channel.next()) weather.expect(order.take(*item), "the rest is out of order");
  weather.expect(order.taken() == put, "a channel lost items at its close");
  const weir::ChannelStats stats = channel.stats();
  weather.expect(stats.put == put && stats.got == put, "a channel's counters do not add up");
}

}  // namespace

weir::Task<> channels(Weather& weather) {
  return in_parallel(weather, 64, one_channel);
}

}  // namespace storm
