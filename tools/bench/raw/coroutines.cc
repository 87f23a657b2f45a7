#include <coroutine>
#include <exception>
#include <new>
#include <utility>
#include <vector>

#include "weir/tools/bench/raw/raw.h"

namespace weir::bench::raw {
namespace {

// Starts at once, ends by itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

// The handles that are ready, in a circle of two.
struct Ready {
  std::coroutine_handle<> handles[2];
  unsigned first = 0;
  unsigned count = 0;

  void push(std::coroutine_handle<> handle) { handles[(first + count++) % 2] = handle; }
  std::coroutine_handle<> pop() {
    --count;
    return handles[first++ % 2];
  }
};

struct Yield {
  Ready& ready;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) const noexcept { ready.push(handle); }
  void await_resume() const noexcept {}
};

Detached take_turns(Ready& ready, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) co_await Yield{ready};
}

// A frame of one size at a time is kept for the next call.
thread_local void* spare_frame = nullptr;

struct Answer {
  struct promise_type {
    static void* operator new(size_t size) {
      void* const frame = std::exchange(spare_frame, nullptr);
      return frame != nullptr ? frame : ::operator new(size);
    }
    static void operator delete(void* frame, size_t) {
      if (spare_frame == nullptr) {
        spare_frame = frame;
      } else {
        ::operator delete(frame);
      }
    }
    struct Final {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
        return ended.promise().caller;
      }
      void await_resume() const noexcept {}
    };
    Answer get_return_object() { return Answer{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    Final final_suspend() noexcept { return {}; }
    void return_value(int value) { result = value; }
    void unhandled_exception() { std::terminate(); }
    std::coroutine_handle<> caller;
    int result = 0;
  };

  explicit Answer(std::coroutine_handle<promise_type> handle) : frame(handle) {}
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { frame.destroy(); }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
    frame.promise().caller = caller;
    return frame;
  }
  int await_resume() const noexcept { return frame.promise().result; }

  std::coroutine_handle<promise_type> frame;
};

[[gnu::noinline]] Answer answer(int value) { co_return value; }

Detached ask(uint64_t count, uint64_t& sum) {
  for (uint64_t i = 0; i < count; ++i) sum += static_cast<uint64_t>(co_await answer(1));
}

}  // namespace

MakeSide yields() {
  return timed([](uint64_t count) {
    Ready ready;
    take_turns(ready, count / 2);
    take_turns(ready, count - count / 2);
    while (ready.count != 0) ready.pop().resume();
  });
}

MakeSide tasks() {
  return timed([](uint64_t count) {
    uint64_t sum = 0;
    ask(count, sum);
    if (sum != count) std::terminate();
  });
}

}  // namespace weir::bench::raw
