// Streams: generators and sinks, read to the end, left early, dropped here and on threads.
#include "weir/tools/storm/primitives.h"

#include <functional>
#include <optional>

namespace storm {
namespace {

constexpr int kItems = 200;

// The items 0 … count - 1, then perhaps an exception.
weir::Generator<Witness> generate(std::atomic<int64_t>& alive, int count, bool fails) {
  const Witness own(alive);  // destroyed with the frame
  for (int i = 0; i < count; ++i) co_yield Witness(alive, static_cast<uint64_t>(i));
  if (fails) throw Thrown("a generator");
}

void put_all(weir::Sink<Witness>& sink, std::atomic<int64_t>& alive, int count, bool fails) {
  const Witness own(alive);
  for (int i = 0; i < count; ++i) sink.put(Witness(alive, static_cast<uint64_t>(i)));
  if (fails) throw Thrown("a producer");
}

const auto drop_on_a_thread = weir::threaded([](std::unique_ptr<weir::IteratorWrapper<Witness>> stream) { stream.reset(); });

// Each item is the one after the last, and the producer's exception comes after all of them. Reads at most `wanted`.
weir::Task<> read(Weather& weather, weir::IteratorWrapper<Witness>& stream, int wanted, int count, bool fails) {
  int next = 0;
  const auto take = [&](const Witness& item) {
    weather.expect(item.number() == static_cast<uint64_t>(next), "a stream is out of order");
    ++next;
  };
  try {
    while (next < wanted) {
      if (weather.random.one_in(8)) {
        const std::vector<Witness> batch = co_await stream.next_batch(10);
        for (const Witness& item : batch) take(item);
        if (batch.empty()) break;
      } else {
        std::optional<Witness> item = co_await stream.next();
        if (!item) break;
        take(*item);
      }
      if (weather.random.one_in(16)) co_await weir::yield();
    }
    weather.expect(next >= wanted || !fails, "a stream lost its producer's exception");
  } catch (const Thrown&) {
    weather.expect(fails, "a stream failed that should not");
    wanted = kItems;
  }
  weather.expect(next >= wanted || next == count, "a stream lost its last items");
}

weir::IteratorWrapper<Witness> new_stream(Weather& weather, int count, bool fails) {
  static constexpr std::size_t kSizes[] = {0, 1, 2, 16, 1024};
  Random& random = weather.random;
  const weir::IterableOptions options{.max_size = kSizes[random.below(5)]};
  if (random.one_in(2)) return weir::threaded_iterable(generate, options)(std::ref(weather.tally.alive), count, fails);
  return weir::threaded_iterable(put_all, options)(std::ref(weather.tally.alive), count, fails);
}

weir::Task<> one_stream(Weather& weather) {
  Random& random = weather.random;
  const int count = random.below(kItems);
  const bool fails = random.one_in(8);
  const int wanted = random.one_in(2) ? kItems : random.below(kItems);
  auto stream = std::make_unique<weir::IteratorWrapper<Witness>>(new_stream(weather, count, fails));
  co_await read(weather, *stream, wanted, count, fails);
  switch (random.below(3)) {
    case 0:
      co_await stream->close();
      break;
    case 1:
      drop_on_a_thread(std::move(stream)).detach();
      break;
    default:
      break;  // dropped here
  }
}

}  // namespace

weir::Task<> streams(Weather& weather) {
  return in_parallel(weather, 32, one_stream);
}

}  // namespace storm
