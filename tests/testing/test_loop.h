// A loop for a test, and what it reports as unhandled.
//
//   TestLoop loop;
//   loop.run(something());
//   EXPECT_THAT(loop.reports(), ElementsAre("task: what"));
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/runtime/errors.h"
#include "weir/runtime/loop.h"
#include "weir/tests/testing/storm.h"

namespace weir::testing {

// What an exception says, whatever its type.
inline std::string describe(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (const Cancelled&) {
    return "Cancelled";
  } catch (...) {
    return "something else";
  }
}

// Collects what on_unhandled is told, on any thread. Outlives the loop and every handle to its tasks.
class Unhandled {
 public:
  void attach(LoopOptions& options) {
    options.on_unhandled = [](std::exception_ptr failure, std::string_view task, void* user) noexcept {
      auto* self = static_cast<Unhandled*>(user);
      const std::lock_guard lock(self->mutex_);
      self->reports_.push_back(std::string(task) + ": " + describe(failure));
    };
    options.on_unhandled_user = this;
  }
  std::vector<std::string> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> reports_;
};

class TestLoop {
 public:
  explicit TestLoop(LoopOptions options = {}) {
    unhandled_.attach(options);
    auto loop = Loop::create(options);
    EXPECT_TRUE(loop.ok()) << loop.status();
    if (!loop.ok()) std::abort();
    loop_ = std::move(*loop);
  }

  Loop& operator*() { return *loop_; }
  Loop* operator->() { return loop_.get(); }
  LoopHandle handle() { return loop_->handle(); }
  template <class A>
  decltype(auto) run(A awaitable) {
    return loop_->run(std::move(awaitable));
  }

  // "task: what" of each, in order.
  std::vector<std::string> reports() { return unhandled_.reports(); }

  // Ends the loop; what it reports meanwhile is seen in reports().
  void destroy() { loop_.reset(); }

 private:
  Unhandled unhandled_;
  std::unique_ptr<Loop> loop_;
};

}  // namespace weir::testing
