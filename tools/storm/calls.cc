// Calls into the pool, and into threads of their own.
#include "weir/tools/storm/primitives.h"

#include <stop_token>
#include <thread>
#include <tuple>

namespace storm {
namespace {

uint64_t job(Witness argument, Random random) {
  work(random);
  if (random.one_in(16)) throw Thrown("a job");
  return argument.number();
}

uint64_t stoppable_job(std::stop_token stop, Witness argument, Random random) {
  for (int rounds = random.below(100); rounds > 0 && !stop.stop_requested(); --rounds) std::this_thread::yield();
  return argument.number();
}

// In one of the ways in which a call can be used.
template <class Plain, class Stoppable>
weir::Task<> use(Weather& weather, const Plain& plain, const Stoppable& stoppable) {
  Random& random = weather.random;
  const uint64_t number = random.next();
  Witness argument(weather.tally.alive, number);
  switch (random.below(5)) {
    case 0: {
      const uint64_t result = co_await plain(argument, random.split());
      weather.expect(result == number, "a call gave another one's result");
      break;
    }
    case 1: {
      const uint64_t result = co_await plain.attached()(argument, random.split());
      weather.expect(result == number, "an attached call gave another one's result");
      break;
    }
    case 2:
      stoppable(std::move(argument), random.split()).detach();
      break;
    case 3: {
      auto call = stoppable(std::move(argument), random.split());  // submitted, and dropped or awaited later
      co_await weir::yield();
      const uint64_t result = co_await std::move(call);
      weather.expect(result == number, "a stoppable call gave another one's result");
      break;
    }
    default: {
      auto pair = weir::gather(stoppable(argument, random.split()), stoppable(argument, random.split()));
      const std::tuple<uint64_t, uint64_t> results = co_await std::move(pair);
      weather.expect(std::get<0>(results) == number && std::get<1>(results) == number, "gather() gave another one's result");
    }
  }
}

const auto on_pool = weir::threaded(job);
const auto stoppable_on_pool = weir::threaded(stoppable_job);
// The loop waits for them at its end: they refer to the storm.
const auto on_own_thread = weir::threaded_separate(job, {.name = "storm", .detach = false});
const auto stoppable_on_own_thread = weir::threaded_separate(stoppable_job, {.name = "storm", .detach = false});

weir::Task<> one_call(Weather& weather) { return use(weather, on_pool, stoppable_on_pool); }
weir::Task<> one_thread(Weather& weather) {
  return use(weather, on_own_thread, stoppable_on_own_thread);
}

}  // namespace

weir::Task<> calls(Weather& weather) { return in_parallel(weather, 1, one_call); }

// A thread's start costs as much as a hundred calls.
weir::Task<> separates(Weather& weather) {
  return in_parallel(weather, 16, one_thread);
}

}  // namespace storm
