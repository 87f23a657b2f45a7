// A stack to which control is handed, and which hands it on: the explorer's threads. The sanitizers know of it.
//
//   Fiber here;                       // the stack that runs already
//   Fiber other(+[] { …; for (;;) next->hand_over(…); });
//   here.hand_over(other);            // returns when somebody hands over to `here`
//
// All fibers belong to one thread. A body never returns; objects on the stack of a fiber that nobody goes on with are not
// destroyed. Cost: a few nanoseconds a hand-over, with sanitizers two system calls.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <memory>

namespace weir::testing {

class Fiber {
 public:
  Fiber();
  explicit Fiber(void (*body)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  void hand_over(Fiber& to);

 private:
  static void begin();
  [[noreturn]] void go_on();

  void (*const body_)() = nullptr;
  const std::unique_ptr<char[]> stack_;
  ucontext_t context_;        // where it begins; with sanitizers, where it goes on
  void* place_[5] = {};       // where it goes on
  bool begun_ = false;
  // For the sanitizers.
  [[maybe_unused]] const void* stack_bottom_ = nullptr;
  [[maybe_unused]] size_t stack_size_ = 0;
  [[maybe_unused]] void* name_ = nullptr;
};

}  // namespace weir::testing
