// Threads and the loop: posts, wake-ups, blocking calls, threads of their own, threads that ask the loop.

#include <atomic>
#include <thread>
#include <vector>

#include "weir/bridge/separate.h"
#include "weir/bridge/sync_await.h"
#include "weir/bridge/thread_pool.h"
#include "weir/bridge/threaded.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/sync/latch.h"
#include "weir/runtime/time.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/pause.h"
#include "weir/tools/bench/peers/peers.h"
#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {
namespace {

// What another thread does while the loop runs; joined at the end of the scope.
class Beside {
 public:
  template <class Work>
  explicit Beside(Work work) : thread_(std::move(work)) {}
  ~Beside() { thread_.join(); }

 private:
  std::thread thread_;
};

Task<> take_posts_awake(uint64_t count) {
  const LoopHandle handle = LoopHandle::current();
  uint64_t ran = 0;
  const Beside poster([handle, count, &ran] {
    for (uint64_t i = 0; i < count; ++i) handle.post([&ran] { ++ran; });
  });
  while (ran < count) co_await yield();
}

class WakeUps final : public Side {
 public:
  Measured run(uint64_t count) override {
    const LoopStats before = loop_->stats();
    const double latency_ns = loop_->run(wake_ups(*loop_, count));
    const LoopStats after = loop_->stats();
    Measured measured(latency_ns / static_cast<double>(count));
    measured.calls = static_cast<double>(after.wakeups_written - before.wakeups_written) / static_cast<double>(count);
    return measured;
  }

 private:
  static Task<double> wake_ups(Loop& loop, uint64_t count) {
    const LoopHandle handle(loop);
    Latch ended(static_cast<std::ptrdiff_t>(count));
    int64_t latency_ns = 0;
    std::atomic<bool> ran{false};
    const Beside poster([&loop, &latency_ns, &ran, &ended, handle, count] {
      for (uint64_t i = 0; i < count; ++i) {
        await_sleep(loop);
        const int64_t began = now_ns();
        handle.post([began, &latency_ns, &ran, &ended] {
          latency_ns += now_ns() - began;
          ended.count_down();
          ran.store(true, std::memory_order_release);
        });
        while (!ran.exchange(false, std::memory_order_acq_rel)) pause_for(0);
      }
    });
    co_await ended.wait();
    co_return static_cast<double>(latency_ns);
  }

  // A loop that has entered the kernel and makes no further turn sleeps.
  static void await_sleep(const Loop& loop) {
    for (;;) {
      const uint64_t turns = loop.stats().turns;
      pause_for(kFallAsleep_ns);
      if (loop.stats().turns == turns) return;
    }
  }

  std::unique_ptr<Loop> loop_ = make_loop();
};

// System calls while nothing happens for `idle`, but the one that sleeps. Its threads are idle, too.
MakeSide idle_loop(absl::Duration idle) {
  class Idle final : public Side {
   public:
    explicit Idle(absl::Duration idle) : idle_(idle) {}
    Measured run(uint64_t) override {
      const auto sleep = [](absl::Duration time) -> Task<> { co_await sleep_for(time); };
      loop_->run(sleep(absl::Milliseconds(1)));
      const uint64_t before = system_calls(*loop_);
      loop_->run(sleep(idle_));
      return Measured(static_cast<double>(system_calls(*loop_) - before) - 1);
    }

   private:
    const absl::Duration idle_;
    std::unique_ptr<Loop> loop_ = make_loop();
  };
  return [idle] { return std::make_unique<Idle>(idle); };
}

int job(int value) { return value; }

// A loop whose default executor is a pool of its own.
MakeSide with_pool(unsigned size, Task<> (*work)(uint64_t), const LoopOptions& options = {}) {
  class PoolSide final : public Side {
   public:
    PoolSide(unsigned size, Task<> (*work)(uint64_t), const LoopOptions& options)
        : pool_({.size = size}), work_(work), loop_(make_loop(options)) {
      loop_->set_default_executor(&pool_);
    }
    Measured run(uint64_t count) override {
      return time_of(count, [&] { loop_->run(work_(count)); });
    }

   private:
    ThreadPool pool_;
    Task<> (*work_)(uint64_t);
    std::unique_ptr<Loop> loop_;
  };
  return [size, work, options] { return std::make_unique<PoolSide>(size, work, options); };
}

Task<> call_often(uint64_t count) {
  const auto call = threaded(job);
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) sum += static_cast<uint64_t>(co_await call(1));
  if (sum != count) throw std::logic_error("a call gave another result");
}

Task<> call_side_by_side(uint64_t count) {
  constexpr uint64_t kInFlight = 1000;
  std::vector<Task<>> tasks;
  for (uint64_t i = 0; i < kInFlight; ++i) tasks.push_back(call_often(count / kInFlight + (i < count % kInFlight)));
  co_await gather(std::move(tasks));
}

Task<> call_separately(uint64_t count) {
  const auto call = threaded_separate(job);
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) sum += static_cast<uint64_t>(co_await call(1));
  if (sum != count) throw std::logic_error("a call gave another result");
}

Task<int> answer(int value) { co_return value; }

void ask(const LoopHandle& loop, uint64_t count) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) sum += static_cast<uint64_t>(sync_wait_coroutine(loop, answer, 1));
  if (sum != count) throw std::logic_error("a coroutine gave another result");
}

auto answer_threads(unsigned threads) {
  return [threads](uint64_t count) -> Task<> {
    const LoopHandle handle = LoopHandle::current();
    Latch ended(static_cast<std::ptrdiff_t>(threads));
    std::vector<std::unique_ptr<Beside>> asking;
    for (unsigned i = 0; i < threads; ++i) {
      const uint64_t mine = count / threads + (i < count % threads);
      asking.push_back(std::make_unique<Beside>([handle, mine, &ended] {
        ask(handle, mine);
        handle.post([&ended] { ended.count_down(); });
      }));
    }
    co_await ended.wait();
  };
}

std::vector<NamedSide> call_sides(MakeSide weir, unsigned in_flight) {
  std::vector<NamedSide> sides = {{"weir", std::move(weir)}, {"raw", raw::calls(in_flight)}};
  for (NamedSide& peer : peers::calls(in_flight)) sides.push_back(std::move(peer));
  return sides;
}

}  // namespace

void add_thread_rows(Rows& rows, const Settings& settings) {
  rows.push_back({.name = "post/awake", .what = "post to a loop that is awake, from a thread", .goals = {.ratio = 2, .calls = 0},
                  .sides = {{"weir", on_loop(take_posts_awake)}, {"raw", raw::posts_to_awake()}}, .count_min = 20'000});
  rows.push_back({.name = "post/asleep", .what = "wake a sleeping loop, from the post until it runs", .goals = {.ratio = 1.05},
                  .sides = {{"weir", [] { return std::make_unique<WakeUps>(); }}, {"raw", raw::wake_ups()}}});
  const absl::Duration idle = absl::Seconds(settings.quick ? 1 : 10);
  rows.push_back({.name = "idle", .what = "an idle loop, " + absl::FormatDuration(idle), .unit = "system calls", .goals = {.value = 0},
                  .sides = {{"weir", idle_loop(idle)}}, .count = 1, .rounds = 1});
  rows.push_back({.name = "threaded/1", .what = "`threaded` call, one at a time", .goals = {.ratio = 1.05},
                  .sides = call_sides(with_pool(1, call_often), 1)});
  rows.push_back({.name = "threaded/1/spin", .what = "the same, on a loop that spins before it sleeps", .goals = {.value = 5500},
                  .sides = {{"weir", with_pool(1, call_often, {.spin = absl::Microseconds(50)})}, {"sleeping", with_pool(1, call_often)}}});
  rows.push_back({.name = "threaded/1/4", .what = "the same, a pool of four threads",
                  .sides = {{"weir", with_pool(4, call_often)}, {"raw", raw::calls(1)}}});
  rows.push_back({.name = "threaded/1000", .what = "`threaded`, 1000 in flight", .goals = {.value = 110},
                  .sides = call_sides(with_pool(1, call_side_by_side), 1000)});
  rows.push_back({.name = "threaded/1000/4", .what = "the same, a pool of four threads",
                  .sides = {{"weir", with_pool(4, call_side_by_side)}, {"raw", raw::calls(1000)}}});
  rows.push_back({.name = "separate", .what = "`threaded_separate`, spawn and result", .goals = {.ratio = 1.1},
                  .sides = {{"weir", on_loop(call_separately)}, {"raw", raw::separate_threads()}}});
  rows.push_back({.name = "sync_await/1", .what = "`sync_await`, one thread", .goals = {.ratio = 1.05},
                  .sides = {{"weir", on_loop(answer_threads(1))}, {"raw", raw::questions(1)}}});
  rows.push_back({.name = "sync_await/4", .what = "`sync_await`, four threads", .goals = {.ratio = 1 / 0.85},
                  .sides = {{"weir", on_loop(answer_threads(4))}, {"raw", raw::questions(4)}}});
}

}  // namespace weir::bench
