#include "weir/tests/testing/fiber.h"

#include <cstdlib>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_FIBER_ASAN 1
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_feature(thread_sanitizer)
#define WEIR_FIBER_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif
#endif

namespace weir::testing {
namespace {

constexpr size_t kStackBytes = 256 * 1024;

// By the last hand_over().
[[maybe_unused]] Fiber* left = nullptr;
Fiber* entered = nullptr;

}  // namespace

Fiber::Fiber() {
  begun_ = true;
#if defined(WEIR_FIBER_TSAN)
  name_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(void (*body)())
    : body_(body), stack_(std::make_unique<char[]>(kStackBytes)), stack_bottom_(stack_.get()), stack_size_(kStackBytes) {
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::begin, 0);
#if defined(WEIR_FIBER_TSAN)
  name_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(WEIR_FIBER_TSAN)
  if (body_ != nullptr) __tsan_destroy_fiber(name_);
#endif
}

void Fiber::begin() {
#if defined(WEIR_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &left->stack_bottom_, &left->stack_size_);
#endif
  entered->body_();
  std::abort();
}

#if defined(WEIR_FIBER_ASAN) || defined(WEIR_FIBER_TSAN)

void Fiber::hand_over(Fiber& to) {
  left = this;
  entered = &to;
#if defined(WEIR_FIBER_ASAN)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, to.stack_bottom_, to.stack_size_);
#else
  __tsan_switch_to_fiber(to.name_, 0);
#endif
  swapcontext(&context_, &to.context_);
#if defined(WEIR_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, &left->stack_bottom_, &left->stack_size_);
#endif
}

#else

// Without the system calls of swapcontext(), which save a signal mask.
[[gnu::noinline]] void Fiber::hand_over(Fiber& to) {
  entered = &to;
  if (__builtin_setjmp(place_) == 0) to.go_on();
}

[[gnu::noinline]] void Fiber::go_on() {
  if (begun_) __builtin_longjmp(place_, 1);
  begun_ = true;
  setcontext(&context_);
  std::abort();
}

#endif

}  // namespace weir::testing
