// What each supported compiler makes of coroutines, in the shapes that matter here. clang >= 17 and g++ >= 13 get all of
// them right; g++ 12 destroys some temporaries of an awaiting full-expression twice, and makes a symmetric transfer a
// tail call only when it optimises. weir's own types and its README go around that; if a new compiler changes the
// picture, this test says so.

#include <gtest/gtest.h>

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <utility>

namespace {

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
constexpr bool kDestroysTwice = true;
#else
constexpr bool kDestroysTwice = false;
#endif

// Counts the objects that live: below zero, one was destroyed twice. Owns nothing, so that the second time is harmless.
struct Counted {
  static inline int live = 0;
  Counted() { ++live; }
  Counted(const Counted&) { ++live; }
  Counted(Counted&&) noexcept { ++live; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) = default;
  ~Counted() { --live; }
};

// The smallest coroutine: runs at once, its frame ends with it.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

// An awaiter with constructors, as all of weir's are.
class Ready {
 public:
  explicit Ready(int value) : value_(value) {}
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return value_; }

 private:
  int value_;
};

struct AggregateAwaiter {
  Counted counted;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  void await_resume() const noexcept {}
};

struct Options {
  Counted name;
  int limit = 0;
};

struct TrivialOptions {
  const char* name = "";
  int limit = 0;
};

class Constructed {
 public:
  explicit Constructed(Counted name) : name_(std::move(name)) {}

 private:
  Counted name_;
};

template <class F>
Ready call(F function) {
  function();
  return Ready(0);
}

Ready take(const Options&) { return Ready(0); }
Ready take_trivial(TrivialOptions options) { return Ready(options.limit); }
Ready take_constructed(const Constructed&) { return Ready(0); }
Ready take_value(Counted) { return Ready(0); }

Detached await_capturing_lambda() {
  Counted counted;
  co_await call([counted] {});
}

Detached await_named_lambda() {
  Counted counted;
  auto function = [counted] {};
  co_await call(function);
}

Detached await_aggregate_argument() { co_await take(Options{.name = Counted(), .limit = 1}); }

Detached await_trivial_aggregate_argument(int* limit) { *limit = co_await take_trivial({.name = "x", .limit = 7}); }

Detached await_constructed_argument() { co_await take_constructed(Constructed(Counted())); }

Detached await_argument_by_value() { co_await take_value(Counted()); }

Detached await_aggregate_awaiter() { co_await AggregateAwaiter{Counted()}; }

AggregateAwaiter make_aggregate_awaiter() { return AggregateAwaiter{Counted()}; }

Detached await_returned_aggregate_awaiter() { co_await make_aggregate_awaiter(); }

// An awaiter that users hold, and one that they reach through operator co_await.
class Place {
 public:
  Place() = default;
  Place(const Place& other) : copies_(other.copies_ + 1) {}
  Place& operator=(const Place&) = delete;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return copies_; }

 private:
  int copies_ = 0;
};

class PlaceMaker {
 public:
  explicit PlaceMaker(Place& place) : place_(place) {}
  class Awaiter {
   public:
    explicit Awaiter(Place& place) : place_(place) {}
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int await_resume() const noexcept { return place_.await_resume(); }

   private:
    Place& place_;
  };
  Awaiter operator co_await() const noexcept { return Awaiter(place_); }

 private:
  Place& place_;
};

// How often the awaiter was copied before it was awaited: 0 is right.
TEST(CompilersTest, AnAwaiterBehindACapturedReference) {
  Place place;
  int copies = -1;
  const auto test = [&]() -> Detached { copies = co_await place; };
  test();
  EXPECT_EQ(copies, kDestroysTwice ? 1 : 0);
}

TEST(CompilersTest, AnAwaiterBehindAParameterIsNotCopied) {
  Place place;
  int copies = -1;
  const auto test = [](Place& its, int& result) -> Detached { result = co_await its; };
  test(place, copies);
  EXPECT_EQ(copies, 0);
}

TEST(CompilersTest, WhatMakesItsAwaiterMayBeCaptured) {
  Place place;
  PlaceMaker maker(place);
  int copies = -1;
  const auto test = [&]() -> Detached { copies = co_await maker; };
  test();
  EXPECT_EQ(copies, 0);
}

// The objects that live after a coroutine ended: 0 is right.
template <class Coroutine, class... Args>
int left_over(Coroutine coroutine, Args... args) {
  Counted::live = 0;
  coroutine(args...);
  return Counted::live;
}

// Where the compiler destroys twice, one object is missing; else none.
constexpr int kBroken = kDestroysTwice ? -1 : 0;

TEST(CompilersTest, ACapturingLambdaInAnAwaitingExpression) { EXPECT_EQ(left_over(await_capturing_lambda), kBroken); }

TEST(CompilersTest, AnAggregateArgumentInAnAwaitingExpression) {
  EXPECT_EQ(left_over(await_aggregate_argument), kBroken);
}

TEST(CompilersTest, AnAwaiterThatIsAnAggregate) { EXPECT_EQ(left_over(await_aggregate_awaiter), kBroken); }

// The ways around, right with every compiler.
TEST(CompilersTest, ANamedLambdaIsDestroyedOnce) { EXPECT_EQ(left_over(await_named_lambda), 0); }

TEST(CompilersTest, ATrivialAggregateArgumentArrives) {
  int limit = 0;
  EXPECT_EQ(left_over(await_trivial_aggregate_argument, &limit), 0);
  EXPECT_EQ(limit, 7);
}

TEST(CompilersTest, AnArgumentWithAConstructorIsDestroyedOnce) {
  EXPECT_EQ(left_over(await_constructed_argument), 0);
  EXPECT_EQ(left_over(await_argument_by_value), 0);
}

TEST(CompilersTest, AReturnedAwaiterIsDestroyedOnce) { EXPECT_EQ(left_over(await_returned_aggregate_awaiter), 0); }

// A task that starts its child, and goes back to its parent, by symmetric transfer.
class Transfer {
 public:
  struct promise_type {
    std::coroutine_handle<> parent = std::noop_coroutine();
    Transfer get_return_object() { return Transfer(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept { return ToParent(); }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };

  explicit Transfer(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  Transfer(Transfer&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  ~Transfer() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
    frame_.promise().parent = parent;
    return frame_;
  }
  void await_resume() const noexcept {}
  void start() { frame_.resume(); }

 private:
  class ToParent {
   public:
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> frame) const noexcept {
      return frame.promise().parent;
    }
    void await_resume() const noexcept {}
  };

  std::coroutine_handle<promise_type> frame_;
};

struct Stack {
  uintptr_t lowest = UINTPTR_MAX;
  uintptr_t highest = 0;
};

Transfer note_stack(Stack& stack) {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  stack.lowest = std::min(stack.lowest, here);
  stack.highest = std::max(stack.highest, here);
  co_return;
}

Transfer await_often(Stack& stack, int times) {
  for (int i = 0; i < times; ++i) co_await note_stack(stack);
}

// Bytes of stack that a thousand awaits use which complete at once.
[[maybe_unused]] uintptr_t stack_of_a_thousand_awaits() {
  Stack stack;
  Transfer task = await_often(stack, 1000);
  task.start();
  return stack.highest - stack.lowest;
}

// g++ makes it a tail call at -O2 and without sanitizers only (at -O1 it does not, but no configuration uses that).
#if defined(__clang__) || (defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__))
TEST(CompilersTest, SymmetricTransferIsATailCall) { EXPECT_LT(stack_of_a_thousand_awaits(), 1024u); }
#elif __GNUC__ < 13
TEST(CompilersTest, SymmetricTransferNests) { EXPECT_GT(stack_of_a_thousand_awaits(), 16 * 1024u); }
#endif

}  // namespace
