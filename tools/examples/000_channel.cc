// 000, "aiomisc.FromThreadChannel": a thread decides what to send, and when.
#include "weir/tools/examples/example.h"

#include "weir/weir.h"

namespace {

using examples::print;

namespace channel {  // 000-13

weir::Task<> consumer(weir::FromThreadChannel<int>& channel) {
  while (auto item = co_await channel.next()) print("Received:", *item);
}

// A sender may outlive the channel; the channel itself stays on the loop.
const auto producer = weir::threaded_separate([](weir::ChannelSender<int> sender) {
  for (int i = 0; i < 5; ++i) sender.put(i);  // sleeps while two wait
  sender.close();                             // no more data
});

weir::Task<> main() {
  weir::FromThreadChannel<int> channel({.max_size = 2});
  co_await weir::gather(consumer(channel), producer(channel.sender()));
}

}  // namespace channel

}  // namespace

examples::Section examples::channel_000() {
  static constexpr Example kAll[] = {
      {"000-13", "a channel from a thread", run<channel::main>},
  };
  return kAll;
}
