// One side of a comparison: weir, its raw twin, or a peer.
#pragma once

#include <time.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace weir::bench {

// What one round of `count` operations gave.
class Measured {
 public:
  explicit Measured(double compared) : value(compared) {}
  double value;         // what is compared, in the row's unit: time per operation unless the row says otherwise
  double cpu_ns = NAN;  // CPU time of the process per operation
  double calls = NAN;   // system calls per operation, where the side can count them
};

class Side {
 public:
  virtual ~Side() = default;
  // Does `count` operations. Called again and again, with the other sides between; on the main thread.
  virtual Measured run(uint64_t count) = 0;
};

using MakeSide = std::function<std::unique_ptr<Side>()>;

inline int64_t clock_ns(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}
inline int64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

// Wall and CPU time of `work`, per operation, in nanoseconds.
template <class Work>
Measured time_of(uint64_t count, Work&& work) {
  const int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  const int64_t wall = now_ns();
  std::forward<Work>(work)();
  const int64_t wall_end = now_ns();
  const auto operations = static_cast<double>(count);
  Measured measured(static_cast<double>(wall_end - wall) / operations);
  measured.cpu_ns = static_cast<double>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / operations;
  return measured;
}

// A side made of a function that does `count` operations, timed as a whole.
template <class Work>
MakeSide timed(Work work) {
  class Timed final : public Side {
   public:
    explicit Timed(Work timed_work) : work_(std::move(timed_work)) {}
    Measured run(uint64_t count) override {
      return time_of(count, [&] { work_(count); });
    }

   private:
    Work work_;
  };
  return [work = std::move(work)] { return std::make_unique<Timed>(work); };
}

}  // namespace weir::bench
