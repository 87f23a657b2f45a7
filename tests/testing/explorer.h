// Runs a protocol of threads through every interleaving, within a bound, over the real code.
//
//   auto result = explore({.preemptions = 2}, [] {
//     auto ring = std::make_shared<BoundedRing<int, ExplorerThreads>>(…);
//     return Scenario{{[ring] { ring->put(1); }, [ring] { … }}, [ring] { require(…, "what"); }};
//   });
//   EXPECT_EQ(result.failure, "");
//
// The code under test takes its atomics, its futex and its fences from a class `Threads`; here that is ExplorerThreads,
// whose every operation is a point where another thread may go on. Threads are fibers on one thread. A run follows one
// path of choices; the next run differs in the last choice that has an alternative left, until none is left.
//
// Memory is modelled as total store order: a store that is not sequentially consistent may stay in its thread's buffer,
// seen by that thread only, until the thread's next read-modify-write, sequentially consistent store or system call, or
// anyone's heavy_fence(). Bounds: how often a thread that could go on is interrupted (`preemptions`), and how many stores
// stay behind (`delayed_stores`).
//
// A run fails when require() says so, or when threads are left that nobody will wake: a hang. Objects on the stacks of
// such threads are not destroyed, so they should own nothing.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

namespace weir::testing {

struct ExplorerLimits {
  int preemptions = 2;
  int delayed_stores = 1;
  int64_t runs = 1'000'000;
};

struct Scenario {
  std::vector<std::function<void()>> threads;
  std::function<void()> check;  // after all have ended
};

struct ExplorerResult {
  std::string failure;    // empty: none; else what, and the schedule that led there
  int64_t runs = 0;
  bool complete = false;  // every path within the limits was run
};

ExplorerResult explore(const ExplorerLimits& limits, const std::function<Scenario()>& make);

// In a thread or a check.
void require(bool condition, const char* what);

namespace explorer_internal {

void step(const char* operation);                    // another thread may go on here
void drain_mine();                                   // my delayed stores reach memory
void drain_all();
bool delay_store(void* where, size_t size, const void* value);  // true: it stays in my buffer
bool read_mine(const void* where, size_t size, void* value);    // true: from my buffer
void block_on(const void* word);
void unblock(const void* word, int count);

}  // namespace explorer_internal

template <class T>
class ExploredAtomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  using Order = std::memory_order;

 public:
  ExploredAtomic() = default;
  explicit ExploredAtomic(T value) : value_(value) {}
  ExploredAtomic(const ExploredAtomic&) = delete;
  ExploredAtomic& operator=(const ExploredAtomic&) = delete;

  T load(Order = std::memory_order_seq_cst) const {
    explorer_internal::step("load");
    T value;
    return explorer_internal::read_mine(&value_, sizeof(T), &value) ? value : value_;
  }
  void store(T value, Order order = std::memory_order_seq_cst) {
    explorer_internal::step("store");
    if (order == std::memory_order_seq_cst) {
      explorer_internal::drain_mine();
    } else if (explorer_internal::delay_store(&value_, sizeof(T), &value)) {
      return;
    }
    value_ = value;
  }
  T exchange(T value, Order = std::memory_order_seq_cst) {
    return modify("exchange", [value](T) { return value; });
  }
  bool compare_exchange_strong(T& expected, T desired, Order = std::memory_order_seq_cst,
                               Order = std::memory_order_seq_cst) {
    explorer_internal::step("compare_exchange");
    explorer_internal::drain_mine();
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = desired;
    return true;
  }
  bool compare_exchange_weak(T& expected, T desired, Order = std::memory_order_seq_cst,
                             Order = std::memory_order_seq_cst) {
    return compare_exchange_strong(expected, desired);
  }
  T fetch_add(T value, Order = std::memory_order_seq_cst) {
    return modify("fetch_add", [value](T old) { return static_cast<T>(old + value); });
  }
  T fetch_sub(T value, Order = std::memory_order_seq_cst) {
    return modify("fetch_sub", [value](T old) { return static_cast<T>(old - value); });
  }
  T fetch_or(T value, Order = std::memory_order_seq_cst) {
    return modify("fetch_or", [value](T old) { return static_cast<T>(old | value); });
  }
  T fetch_and(T value, Order = std::memory_order_seq_cst) {
    return modify("fetch_and", [value](T old) { return static_cast<T>(old & value); });
  }

  const T& memory() const { return value_; }

 private:
  template <class Change>
  T modify(const char* operation, Change change) {
    explorer_internal::step(operation);
    explorer_internal::drain_mine();
    const T old = value_;
    value_ = change(old);
    return old;
  }

  T value_{};
};

struct ExplorerThreads {
  template <class T>
  using Atomic = ExploredAtomic<T>;

  struct Parked {};

  static constexpr int kSpins = 0;
  static void pause() {}

  // Deadlines never come.
  static bool wait(const Atomic<uint32_t>& word, uint32_t expected, int64_t = INT64_MAX) {
    explorer_internal::step("wait");
    explorer_internal::drain_mine();
    if (word.memory() == expected) explorer_internal::block_on(&word);
    return true;
  }
  static void wake(const Atomic<uint32_t>& word, int count) {
    explorer_internal::step("wake");
    explorer_internal::drain_mine();
    explorer_internal::unblock(&word, count);
  }

  static bool has_heavy_fence() { return true; }
  static void heavy_fence() {
    explorer_internal::step("heavy_fence");
    explorer_internal::drain_all();
  }
  static void light_fence() {}
};

// A flag to wait for, as a loop waits for its inbox.
class ExploredEvent {
 public:
  void set() {
    flag_.store(1);
    ExplorerThreads::wake(flag_, INT_MAX);
  }
  void wait() {
    while (flag_.load() == 0) ExplorerThreads::wait(flag_, 0);
    flag_.store(0);
  }

 private:
  ExploredAtomic<uint32_t> flag_;
};

}  // namespace weir::testing
