// Latch: tasks wait until a number of things have happened. It opens once, and stays open.
//
//   weir::Latch started(3);
//   started.count_down();           // each of the three
//   co_await started.wait();
//
// For the coroutines of one loop, on its thread. Cancelling a waiter takes it out. Destroyed while somebody waits:
// std::logic_error there. Cost: no allocation, no system call.
#pragma once

#include <cstddef>
#include <stdexcept>

#include "weir/runtime/sync/event.h"

namespace weir {

class Latch {
 public:
  explicit Latch(std::size_t count) : pending_(count) {
    if (count == 0) open_.set();
  }
  Latch(const Latch&) = delete;
  Latch& operator=(const Latch&) = delete;

  // The last one wakes all who wait, in the order in which they came. More than there is to count: std::logic_error.
  void count_down(std::size_t by = 1) {
    if (by > pending_) throw std::logic_error("weir::Latch: counted down further than to zero");
    pending_ -= by;
    if (pending_ == 0) open_.set();
  }

  // What is left to count.
  std::size_t pending() const noexcept { return pending_; }

  Event::Wait wait() noexcept { return open_.wait(); }

 private:
  std::size_t pending_;
  Event open_;
};

}  // namespace weir
