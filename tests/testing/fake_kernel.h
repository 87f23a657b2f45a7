// FakeKernel: virtual time, and a wake-up descriptor that exists only in the test. Used with ScriptedRing.
//
//   FakeKernel kernel;
//   kernel.advance(1'000'000);            // a millisecond passes
//   kernel.eventfd_error = EMFILE;        // Loop creation finds no descriptor left
//
// What it does not override is the real kernel's. Any thread may write the wake-up descriptor; the rest is the test's.
#pragma once

#include <atomic>
#include <cstdint>

#include "weir/runtime/kernel.h"

namespace weir::testing {

class FakeKernel final : public internal::Kernel {
 public:
  static constexpr int kWakeUpFd = 1'000'000;       // what make_eventfd() gives
  static constexpr int64_t kStart_ns = 1'000'000'000;

  int64_t monotonic_ns() noexcept override {
    ++clock_reads;
    return now_ns_;
  }
  int64_t realtime_ns() noexcept override { return now_ns_; }

  int make_eventfd() noexcept override { return eventfd_error != 0 ? -eventfd_error : kWakeUpFd; }
  int write_eventfd(int fd) noexcept override {
    if (fd != kWakeUpFd) return Kernel::write_eventfd(fd);
    wake_ups_.fetch_add(1);
    return 8;
  }
  int close(int fd) noexcept override { return fd == kWakeUpFd ? 0 : Kernel::close(fd); }

  int pin_thread(int cpu) noexcept override {
    pinned_cpu = cpu;
    return -pin_error;
  }

  int64_t now_ns() const noexcept { return now_ns_; }
  void advance(int64_t ns) noexcept { now_ns_ += ns; }
  uint64_t take_wake_ups() noexcept { return wake_ups_.exchange(0); }

  int eventfd_error = 0;  // an errno
  int pin_error = 0;      // an errno
  int pinned_cpu = -1;
  int clock_reads = 0;

 private:
  int64_t now_ns_ = kStart_ns;
  std::atomic<uint64_t> wake_ups_{0};
};

}  // namespace weir::testing
