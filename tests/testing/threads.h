// What tests of several threads share: where threads wait for each other, and a watchdog that turns a hang into a message.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "weir/tests/testing/storm.h"

namespace weir::testing {

// Opens once. Outlives whoever uses it.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }
  bool is_open() {
    const std::lock_guard lock(mutex_);
    return open_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

// Waits until a number is reached. Outlives whoever counts.
class Count {
 public:
  void add(int more = 1) {
    const std::lock_guard lock(mutex_);
    value_ += more;
    changed_.notify_all();
  }
  void wait_for(int number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this, number] { return value_ >= number; });
  }
  int value() {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int value_ = 0;
};

// Ends the process with a message when a test takes more than a minute, times the storm's factor. Including this header
// is enough.
class HangWatchdog final : public ::testing::EmptyTestEventListener {
 public:
  ~HangWatchdog() override { stop(); }

  void OnTestStart(const ::testing::TestInfo& test) override {
    stop();
    over_ = false;
    thread_ = std::thread([this, name = std::string(test.test_suite_name()) + "." + test.name()] {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, std::chrono::minutes(storm(1)), [this] { return over_; })) return;
      std::fprintf(stderr, "watchdog: %s hangs\n", name.c_str());
      std::abort();
    });
  }
  void OnTestEnd(const ::testing::TestInfo&) override { stop(); }

 private:
  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
  bool over_ = false;
};

namespace internal {
inline const bool watched = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new HangWatchdog);
  return true;
}();
}  // namespace internal

}  // namespace weir::testing
