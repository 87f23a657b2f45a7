#include "weir/tools/storm/round.h"

#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"

namespace storm {
namespace {

// What nobody awaits: in a storm these are no defects.
void unhandled(std::exception_ptr failure, std::string_view task, void* user) noexcept {
  try {
    std::rethrow_exception(failure);
  } catch (const Thrown&) {
  } catch (const weir::Cancelled&) {
  } catch (const weir::LoopClosed&) {
  } catch (const weir::PoolClosed&) {
  } catch (const weir::ChannelClosed&) {
  } catch (const std::exception& other) {
    static_cast<Findings*>(user)->add(std::string(task) + " failed: " + other.what());
  } catch (...) {
    static_cast<Findings*>(user)->add(std::string(task) + " failed");
  }
}

std::unique_ptr<weir::Loop> make_loop(Findings& findings) {
  weir::LoopOptions options;
  options.on_unhandled = unhandled;
  options.on_unhandled_user = &findings;
  auto loop = weir::Loop::create(options);
  if (!loop.ok()) throw std::runtime_error(std::string(loop.status().message()));
  return *std::move(loop);
}

// A second loop, on its own thread, until it is destroyed.
class Neighbour {
 public:
  explicit Neighbour(Findings& findings)
      : Neighbour(make_loop(findings)) {}
  Neighbour(const Neighbour&) = delete;
  Neighbour& operator=(const Neighbour&) = delete;
  ~Neighbour() {
    end_.close();
    thread_.join();
  }
  weir::LoopHandle handle() const { return handle_; }

 private:
  explicit Neighbour(std::unique_ptr<weir::Loop> loop)
      : handle_(loop->handle()), thread_([this, own = std::move(loop)]() mutable {
          (void)own->run(until_.next());
          own.reset();
        }) {}

  weir::FromThreadChannel<int> until_;
  weir::ChannelSender<int> end_ = until_.sender();
  weir::LoopHandle handle_;
  std::thread thread_;
};

weir::Task<> give_up_soon(Weather& weather, const Primitive& primitive) {
  (void)weir::spawn(primitive.storm(weather), primitive.name);
  co_await weir::sleep_for(absl::Microseconds(weather.random.below(20'000)));
}

// Jobs that nobody waits for any more may still run, and wait for coroutines of this loop: until they have ended.
weir::Task<> settle(Weather& weather, const weir::ThreadPool& pool) {
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  for (;;) {
    const weir::ThreadPoolStats jobs = pool.stats();
    const weir::LoopStats stats = weir::Loop::current().stats();
    if (jobs.queued + jobs.busy + stats.timers == 0 && stats.tasks == 1) co_return;  // this one
    if (absl::Now() > deadline) break;
    co_await weir::yield();
  }
  weather.findings.add("jobs, tasks or timers are left over");
}

void check_pool(Weather& weather, const weir::ThreadPoolStats& stats) {
  weather.expect(stats.queued == 0, "jobs are left in the pool's queue");
  weather.expect(stats.busy == 0 && stats.parked == 0, "workers are left at work");
}

}  // namespace

Round run_round(const Primitive& primitive, uint64_t seed, int operations) {
  Findings unexpected;  // outlives both loops
  std::optional<Neighbour> neighbour(std::in_place, unexpected);
  Weather weather(seed, operations, neighbour->handle());
  {
    weir::ThreadPool pool({.size = kThreads, .name = "storm"});
    std::unique_ptr<weir::Loop> loop = make_loop(unexpected);
    loop->set_default_executor(&pool);
    if (weather.random.one_in(3)) {
      loop->run(give_up_soon(weather, primitive));
    } else {
      loop->run(primitive.storm(weather));
      loop->run(settle(weather, pool));
    }
    loop.reset();
    pool.shutdown();
    check_pool(weather, pool.stats());
  }
  neighbour.reset();

  Round round;
  round.operations = weather.tally.operations;
  round.cancelled = weather.tally.cancelled;
  round.findings = weather.findings.all();
  for (std::string& what : unexpected.all()) round.findings.push_back(std::move(what));
  if (const int64_t alive = weather.tally.alive; alive != 0) {
    round.findings.push_back(std::to_string(alive) + " arguments or items are still alive");
  }
  return round;
}

}  // namespace storm
