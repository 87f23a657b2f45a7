// Deadlines: timeout(), cancelling, and timers by the million.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "weir/runtime/io/buffer.h"
#include "weir/runtime/io/unix.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/runtime/timers.h"
#include "weir/tools/bench/deadlines.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {
namespace {

// A pair of connected sockets, one of which always has something to read.
class Pair {
 public:
  Pair() {
    std::array<int, 2> ends;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("socketpair");
    near = std::make_unique<UnixStream>(UnixStream::from_fd(ends[0]));
    far = ends[1];
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() { ::close(far); }

  // The kernel's buffers hold it all at once.
  void fill(size_t bytes) const {
    const std::vector<char> data(bytes, 'w');
    if (::send(far, data.data(), data.size(), 0) != static_cast<ssize_t>(bytes)) throw std::runtime_error("send");
  }

  std::unique_ptr<UnixStream> near;
  int far;
};

Task<absl::StatusOr<size_t>> read_byte(UnixStream& stream) {
  std::byte byte;
  co_return co_await stream.read(absl::MakeSpan(&byte, 1));
}

constexpr size_t kBytesAtOnce = 256;

Task<> read_bytes(uint64_t count) {
  const Pair pair;
  for (uint64_t i = 0; i < count; ++i) {
    if (i % kBytesAtOnce == 0) pair.fill(kBytesAtOnce);
    const absl::StatusOr<size_t> got = co_await read_byte(*pair.near);
    if (!got.ok()) throw std::runtime_error("a read has failed");
  }
}

Task<> read_bytes_in_time(uint64_t count) {
  const Pair pair;
  for (uint64_t i = 0; i < count; ++i) {
    if (i % kBytesAtOnce == 0) pair.fill(kBytesAtOnce);
    const absl::StatusOr<size_t> got = co_await timeout(absl::Seconds(10), read_byte(*pair.near));
    if (!got.ok()) throw std::runtime_error("a read has failed");
  }
}

// Tasks that wait in receive(), cancelled, to their end.
class Cancels final : public Side {
 public:
  Measured run(uint64_t count) override {
    const auto [took_ns, calls] = loop_->run(cancel_often(*loop_, count));
    Measured measured(static_cast<double>(took_ns) / static_cast<double>(count));
    measured.calls = static_cast<double>(calls) / static_cast<double>(count);
    return measured;
  }

 private:
  static Task<std::pair<int64_t, uint64_t>> cancel_often(Loop& loop, uint64_t count) {
    const Pair pair;
    int64_t took_ns = 0;
    uint64_t calls = 0;
    for (uint64_t i = 0; i < count; ++i) {
      JoinHandle<absl::StatusOr<Buffer>> reader = spawn(pair.near->receive());
      for (int turn = 0; turn < 3; ++turn) co_await yield();  // it waits in the kernel
      co_await sleep_for(absl::Nanoseconds(1));
      const uint64_t calls_before = system_calls(loop);
      const int64_t began = now_ns();
      reader.cancel();
      try {
        (void)co_await reader;
      } catch (const Cancelled&) {
      }
      took_ns += now_ns() - began;
      calls += system_calls(loop) - calls_before;
    }
    co_return std::pair(took_ns, calls);
  }

  std::unique_ptr<Loop> loop_ = make_loop();
};

// Timers as the loop keeps them, without tasks.
class Alarm final : public internal::Timer {
 public:
  void fire() noexcept override {}
};

// `size` of them armed over ten seconds, then cancelled in another order; again until there were `count`.
Measured arm_and_cancel(uint64_t size, uint64_t count) {
  const auto timers = std::make_unique<internal::Timers>(0);
  std::vector<Alarm> alarms(size);
  return time_of(count, [&] {
    for (uint64_t done = 0; done < count; done += size) {
      for (uint64_t i = 0; i < size; ++i) timers->arm(alarms[i], static_cast<int64_t>(i * 7919 % size * 10'000'000'000 / size));
      for (uint64_t i = 0; i < size; ++i) timers->cancel(alarms[(i * 104729) % size]);
      for (Alarm& alarm : alarms) timers->cancel(alarm);  // those that the stride has missed
    }
  });
}

// `size` of them, two microseconds apart and armed in another order, fired as by a loop that comes to them late.
Measured fire_alone(uint64_t size, uint64_t) {
  constexpr size_t kBudget = 256;
  const auto timers = std::make_unique<internal::Timers>(0);
  std::vector<Alarm> alarms(size);
  for (uint64_t i = 0; i < size; ++i) timers->arm(alarms[i], static_cast<int64_t>(2000 * (i * 7919 % size + 1)));
  return time_of(size, [&] {
    while (timers->size() != 0) timers->fire(static_cast<int64_t>(2000 * (size + 1)), kBudget);
  });
}

// Tasks in sleep_until(), two microseconds apart and armed in another order, all of whose deadlines have passed: until each
// has ended.
Task<double> fire_tasks(uint64_t count) {
  std::vector<JoinHandle<>> handles;
  handles.reserve(count);
  const auto place = [count](uint64_t i) { return absl::Microseconds(2) * static_cast<int64_t>(i * 7919 % count); };
  const auto sleeper = [](absl::Time deadline) -> Task<> { co_await sleep_until(deadline); };
  const absl::Time start = absl::Now() + absl::Milliseconds(50) + absl::Microseconds(2) * static_cast<int64_t>(count);
  for (uint64_t i = 0; i < count; ++i) handles.push_back(spawn(sleeper(start + place(i))));
  while (absl::Now() < start - absl::Milliseconds(20)) co_await sleep_for(absl::Milliseconds(1));
  while (absl::Now() < start + absl::Microseconds(2) * static_cast<int64_t>(count)) {
  }
  const int64_t began = now_ns();
  for (JoinHandle<>& handle : handles) co_await handle;
  co_return static_cast<double>(now_ns() - began) / static_cast<double>(count);
}

// How late sleeps of a millisecond end on an idle loop: the 99th percentile.
Task<double> lateness(uint64_t count) {
  std::vector<double> late;
  for (uint64_t i = 0; i < count; ++i) {
    const int64_t deadline = now_ns() + 1'000'000;
    co_await sleep_for(absl::Milliseconds(1));
    late.push_back(static_cast<double>(now_ns() - deadline));
  }
  co_return quantile(std::move(late), 0.99);
}

// A side that measures for itself, on a loop.
MakeSide self_timed(Task<double> (*work)(uint64_t)) {
  class SelfTimed final : public Side {
   public:
    explicit SelfTimed(Task<double> (*own_work)(uint64_t)) : work_(own_work) {}
    Measured run(uint64_t count) override { return Measured(loop_->run(work_(count))); }

   private:
    Task<double> (*work_)(uint64_t);
    std::unique_ptr<Loop> loop_ = make_loop();
  };
  return [work] { return std::make_unique<SelfTimed>(work); };
}

// Of the timers alone.
MakeSide timers_side(Measured (*work)(uint64_t size, uint64_t count), uint64_t size) {
  class Alone final : public Side {
   public:
    Alone(Measured (*own_work)(uint64_t, uint64_t), uint64_t own_size) : work_(own_work), size_(own_size) {}
    Measured run(uint64_t count) override { return work_(size_, count); }

   private:
    Measured (*const work_)(uint64_t, uint64_t);
    const uint64_t size_;
  };
  return [work, size] { return std::make_unique<Alone>(work, size); };
}

}  // namespace

MakeSide timers_alone(uint64_t size) { return timers_side(arm_and_cancel, size); }

void add_deadline_rows(Rows& rows, const Settings& settings) {
  rows.push_back({.name = "timeout", .what = "`timeout()` round a read that is ready", .goals = {.difference = 80},
                  .sides = {{"weir", on_loop(read_bytes_in_time)}, {"without", on_loop(read_bytes)}}});
  rows.push_back({.name = "cancel", .what = "cancel a task that waits in `receive()`, to its end", .goals = {.value = 5000, .calls = 2},
                  .sides = {{"weir", [] { return std::make_unique<Cancels>(); }}}});
  const uint64_t timers = settings.quick ? 100'000 : 1'000'000;
  const std::string many = settings.quick ? "100,000" : "1,000,000";
  rows.push_back({.name = "timers/arm", .what = many + " timers, armed and cancelled, each", .goals = {.value = 100},
                  .sides = {{"weir", timers_alone(timers)}}, .count = timers, .rounds = 5});
  rows.push_back({.name = "timers/fire", .what = many + " timers, fired, each", .goals = {.value = 250},
                  .sides = {{"weir", timers_side(fire_alone, timers)}}, .count = timers, .rounds = 5});
  rows.push_back({.name = "timers/tasks", .what = many + " sleeping tasks, from their deadline to their end, each",
                  .sides = {{"weir", self_timed(fire_tasks)}}, .count = timers, .rounds = 5});
  rows.push_back({.name = "timers/late", .what = "lateness of a sleep on an idle loop, p99", .goals = {.value = 100'000},
                  .sides = {{"weir", self_timed(lateness)}}, .count = settings.quick ? 50U : 200U, .rounds = 5});
}

}  // namespace weir::bench
