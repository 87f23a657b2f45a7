#include "weir/tools/storm/primitives.h"

namespace storm {
namespace {

weir::Task<> several(Weather& weather, Operation one, int count) {
  for (int i = 0; i < count; ++i) {
    co_await disturbed(weather, one(weather));
    weather.tally.operations.fetch_add(1, std::memory_order_relaxed);
  }
}

const auto cancel_from_a_thread = weir::threaded([](std::shared_ptr<weir::JoinHandle<void>> handle, Random random) {
  work(random);
  handle->cancel();
});

weir::Task<> wait_for(Weather& weather, weir::JoinHandle<void>& handle) {
  try {
    co_await handle;
  } catch (const weir::Cancelled&) {
    weather.tally.cancelled.fetch_add(1, std::memory_order_relaxed);
  } catch (const Thrown&) {
  }
}

}  // namespace

// A Cancelled that is swallowed here is the operation's; if it was this task's own, its next co_await throws again.
weir::Task<> disturbed(Weather& weather, weir::Task<> operation) {
  Random& random = weather.random;
  switch (random.below(4)) {
    case 0: {
      auto handle = weir::spawn(std::move(operation), "operation");
      for (int turns = random.below(6); turns > 0; --turns) co_await weir::yield();
      handle.cancel();
      co_await wait_for(weather, handle);
      break;
    }
    case 1: {
      auto handle = std::make_shared<weir::JoinHandle<void>>(weir::spawn(std::move(operation), "operation"));
      if (random.one_in(4)) {
        cancel_from_a_thread(handle, random.split()).detach();
      }
      co_await wait_for(weather, *handle);
      break;
    }
    case 2: {
      const auto limit = absl::Microseconds(random.below(200));
      try {
        const absl::Status status = co_await weir::timeout(limit, std::move(operation));
        if (!status.ok()) weather.tally.cancelled.fetch_add(1, std::memory_order_relaxed);
      } catch (const Thrown&) {
      }
      break;
    }
    default:
      try {
        co_await std::move(operation);
      } catch (const Thrown&) {
      }
  }
}

weir::Task<> in_parallel(Weather& weather, int weight, Operation one) {
  std::vector<weir::Task<>> tasks;
  for (int i = 0; i < kTasks; ++i) {
    tasks.push_back(several(weather, one, weather.operations / kTasks / weight + 1));
  }
  co_await weir::gather(std::move(tasks));
}

weir::Task<> everything(Weather& weather) {
  std::vector<weir::Task<>> storms;
  for (const Primitive& primitive : primitives()) {
    if (primitive.storm != everything) storms.push_back(primitive.storm(weather));
  }
  co_await weir::gather(std::move(storms));
}

std::span<const Primitive> primitives() {
  static constexpr Primitive kAll[] = {
      {"calls", calls}, {"streams", streams}, {"channels", channels}, {"sync_await", sync_awaits},
      {"separate", separates}, {"on", ons}, {"post", posts}, {"everything", everything},
  };
  return kAll;
}

}  // namespace storm
