// Channels: several threads that put, a reader that is late, gives up, closes.
#include "weir/tools/storm/primitives.h"

#include <array>
#include <functional>
#include <optional>

namespace storm {
namespace {

constexpr int kSenders = 3;
constexpr int kItems = 100;

// Puts 0 … kItems - 1, each with the sender's number in the thousands; gives how many it could put.
int put_all(weir::ChannelSender<Witness> channel, std::atomic<int64_t>& alive, int sender, Random random) {
  int put = 0;
  try {
    while (put < kItems) {
      const Witness item(alive, static_cast<uint64_t>(sender * 1000 + put));
      if (!random.one_in(4) || !channel.try_put(item)) channel.put(item);
      ++put;
      if (random.one_in(32)) work(random);
    }
  } catch (const weir::ChannelClosed&) {
  }
  return put;
}

const auto sender_thread = weir::threaded(put_all);

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
    }
  }
}

weir::Task<> one_channel(Weather& weather) {
  Random& random = weather.random;
  static constexpr std::size_t kSizes[] = {0, 1, 2, 64};
  weir::FromThreadChannel<Witness> channel({.max_size = kSizes[random.below(4)]});
  std::vector<weir::Call<int>> senders;
  for (int i = 0; i < kSenders; ++i) {
    senders.push_back(sender_thread(channel.sender(), std::ref(weather.tally.alive), i, random.split()));
  }
  constexpr uint64_t kAll = kSenders * kItems;
  Order order;
  const bool all = random.one_in(2);
  co_await read(weather, channel, order, all ? kAll : static_cast<uint64_t>(random.below(kAll)));
  channel.close();

  uint64_t put = 0;
  for (const int count : co_await weir::gather(std::move(senders))) put += static_cast<uint64_t>(count);
  if (all) weather.expect(put == kAll, "a channel took more or less than was put");
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
