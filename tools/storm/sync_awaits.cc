// From threads into the loop: sync_await, on() a second loop, post().
#include "weir/tools/storm/primitives.h"

#include <atomic>

namespace storm {
namespace {

// Some turns of the loop, an instant of sleep, or an exception.
weir::Task<uint64_t> coroutine(Witness argument, Random random) {
  switch (random.below(8)) {
    case 0:
      throw Thrown("a coroutine");
    case 1:
      co_await weir::sleep_for(absl::Microseconds(random.below(100)));
      break;
    default:
      for (int turns = random.below(4); turns > 0; --turns) co_await weir::yield();
  }
  co_return argument.number();
}

const auto nested = weir::threaded([](uint64_t number) { return number; });

// A thread, the loop, a thread, the loop: the outer one is parked meanwhile.
weir::Task<uint64_t> nested_call(uint64_t number) { co_return co_await nested(number); }

const auto into_the_loop = weir::threaded([](Weather* weather, Witness argument, Random random) {
  const uint64_t number = argument.number();
  if (random.one_in(4)) {
    weather->expect(weir::sync_await(nested_call, number) == number, "a nested call gave another one's result");
  } else {
    weather->expect(weir::sync_await(coroutine, argument, random.split()) == number, "sync_await gave another one's result");
  }
});

weir::Task<> one_sync_await(Weather& weather) {
  Random& random = weather.random;
  // The job refers to the weather, which outlives the loop and its pool.
  co_await into_the_loop(&weather, Witness(weather.tally.alive, random.next()), random.split());
}

weir::Task<> one_on(Weather& weather) {
  Random& random = weather.random;
  const Witness argument(weather.tally.alive, random.next());
  const uint64_t result = co_await weir::on(weather.other, coroutine, argument, random.split());
  weather.expect(result == argument.number(), "on() gave another one's result");
}

}  // namespace

weir::Task<> sync_awaits(Weather& weather) { return in_parallel(weather, 1, one_sync_await); }
weir::Task<> ons(Weather& weather) { return in_parallel(weather, 1, one_on); }

// Threads post while the loop turns; they may see it go.
weir::Task<> posts(Weather& weather) {
  const int each = weather.operations / kThreads + 1;
  auto ran = std::make_shared<std::atomic<int>>(0);
  const auto poster = weir::threaded_separate(
      [each, ran](weir::LoopHandle loop, Weather* all) {
        int posted = 0;
        try {
          for (; posted < each; ++posted) {
            loop.post([ran, witness = Witness(all->tally.alive)] { ran->fetch_add(1, std::memory_order_relaxed); });
          }
        } catch (const weir::LoopClosed&) {
        }
        return posted;
      },
      {.name = "poster", .detach = false});
  std::vector<weir::Call<int>> posters;
  for (int i = 0; i < kThreads; ++i) posters.push_back(poster.attached()(weir::LoopHandle::current(), &weather));
  const std::vector<int> counts = co_await weir::gather(std::move(posters));
  int posted = 0;
  for (const int count : counts) posted += count;
  // A thread's last post came before its end, so it has run.
  weather.expect(ran->load() == posted, "posts were lost");
  weather.tally.operations.fetch_add(static_cast<uint64_t>(posted), std::memory_order_relaxed);
}

}  // namespace storm
