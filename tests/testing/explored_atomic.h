// Atomics whose loads may give old values, and plain objects whose unordered use is noticed: the memory of the explorer.
//
// The model is that of C++, made operational by views. An atomic keeps all values that were stored, in their order. A
// thread's view says, for each atomic, the oldest store that it may still read, and for each thread, up to when what that
// one did has happened before. Then:
//   - a load picks any store that is not older than the view, and moves the view there; an acquire load also joins the
//     view that a release store left with its value;
//   - a read-modify-write reads the newest store, and carries the view of that on (a release sequence);
//   - sequentially consistent operations share one more view: their loads are not older than their last store there;
//   - a full fence (membarrier, a system call) joins that view and the thread's in both directions, for atomics only.
// Left out, so that the model is weaker than the language in these: stores enter their atomic's order when they are made,
// a failed compare-exchange reads the newest value, and nothing is read before it is written.
//
// Source of the idea: Kang, Hur, Lahav, Vafeiadis, Dreyer, "A promising semantics for relaxed-memory concurrency" (2017),
// without the promises.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <source_location>
#include <type_traits>
#include <vector>

namespace weir::testing {

// Where an operation stands in the code under test.
using Place = std::source_location;

namespace explorer_internal {

inline constexpr unsigned kAtomicsMax = 32;
inline constexpr unsigned kThreadsMax = 6;

struct View {
  std::array<uint16_t, kAtomicsMax> atomics{};
  std::array<uint16_t, kThreadsMax> clocks{};

  void join_atomics(const View& other) {
    for (unsigned i = 0; i < kAtomicsMax; ++i) atomics[i] = std::max(atomics[i], other.atomics[i]);
  }
  void join(const View& other) {
    join_atomics(other);
    for (unsigned i = 0; i < kThreadsMax; ++i) clocks[i] = std::max(clocks[i], other.clocks[i]);
  }
};

enum class Access : uint8_t { kLoad, kStore, kModify, kFailure };

bool in_thread();                                    // else: in the making of a scenario, or in its check
void step(const char* operation);                    // another thread may go on here
unsigned new_atomic();
View& my_view();
View& sequential_view();
unsigned choose_stale(unsigned older);               // 0: the newest; else so many stores back, at most `older`
void released();                                     // what I did until now goes with what I publish
std::memory_order order_at(const Place& place, Access access, std::memory_order order);
bool left_out(const Place& place, const char* change);
void system_call();
void fence_all();
void block_on(const void* word);
void unblock(const void* word, int count);
void touch(const void* object);
void forget(const void* object);

inline bool acquires(std::memory_order order) {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}
inline bool releases(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}

}  // namespace explorer_internal

template <class T>
class ExploredAtomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  using Order = std::memory_order;
  using Access = explorer_internal::Access;
  using View = explorer_internal::View;

 public:
  ExploredAtomic() : ExploredAtomic(T{}) {}
  explicit ExploredAtomic(T value) : id_(explorer_internal::new_atomic()), stores_{{value, View()}} {}
  ExploredAtomic(const ExploredAtomic&) = delete;
  ExploredAtomic& operator=(const ExploredAtomic&) = delete;

  T load(Order order = std::memory_order_seq_cst, const Place& place = Place::current()) const {
    explorer_internal::step("load");
    if (!explorer_internal::in_thread()) return newest();
    order = explorer_internal::order_at(place, Access::kLoad, order);
    View& mine = explorer_internal::my_view();
    unsigned oldest = mine.atomics[id_];
    if (order == std::memory_order_seq_cst) {
      oldest = std::max<unsigned>(oldest, explorer_internal::sequential_view().atomics[id_]);
    }
    const unsigned index = last() - explorer_internal::choose_stale(last() - oldest);
    see(index, order);
    return stores_[index].value;
  }

  void store(T value, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    explorer_internal::step("store");
    append(value, View(), explorer_internal::order_at(place, Access::kStore, order));
  }

  T exchange(T value, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    return modify("exchange", order, place, [value](T) { return value; });
  }
  T fetch_add(T value, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    return modify("fetch_add", order, place, [value](T old) { return static_cast<T>(old + value); });
  }
  T fetch_sub(T value, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    return modify("fetch_sub", order, place, [value](T old) { return static_cast<T>(old - value); });
  }
  T fetch_or(T value, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    return modify("fetch_or", order, place, [value](T old) { return static_cast<T>(old | value); });
  }
  T fetch_and(T value, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    return modify("fetch_and", order, place, [value](T old) { return static_cast<T>(old & value); });
  }

  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure, const Place& place = Place::current()) {
    explorer_internal::step("compare_exchange");
    if (newest() != expected) {
      see(last(), explorer_internal::order_at(place, Access::kFailure, failure));
      expected = newest();
      return false;
    }
    change(desired, explorer_internal::order_at(place, Access::kModify, success));
    return true;
  }
  bool compare_exchange_strong(T& expected, T desired, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    const Order failure = order == std::memory_order_acq_rel   ? std::memory_order_acquire
                          : order == std::memory_order_release ? std::memory_order_relaxed
                                                               : order;
    return compare_exchange_strong(expected, desired, order, failure, place);
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure, const Place& place = Place::current()) {
    return compare_exchange_strong(expected, desired, success, failure, place);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    return compare_exchange_strong(expected, desired, order, place);
  }

  T newest() const { return stores_.back().value; }

 private:
  struct Store {
    T value;
    View message;  // what who acquires this value gets to know
  };

  unsigned last() const { return static_cast<unsigned>(stores_.size() - 1); }

  void see(unsigned index, Order order) const {
    if (!explorer_internal::in_thread()) return;
    View& mine = explorer_internal::my_view();
    mine.atomics[id_] = static_cast<uint16_t>(index);
    if (explorer_internal::acquires(order)) mine.join(stores_[index].message);
  }

  void append(T value, View message, Order order) {
    if (!explorer_internal::in_thread()) {
      stores_.back().value = value;
      return;
    }
    View& mine = explorer_internal::my_view();
    mine.atomics[id_] = static_cast<uint16_t>(stores_.size());
    if (order == std::memory_order_seq_cst) explorer_internal::sequential_view().atomics[id_] = mine.atomics[id_];
    if (explorer_internal::releases(order)) {
      explorer_internal::released();
      message.join(mine);
    }
    stores_.push_back({value, message});
  }

  void change(T value, Order order) {
    see(last(), order);
    append(value, stores_.back().message, order);
  }

  template <class Change>
  T modify(const char* operation, Order order, const Place& place, Change to) {
    explorer_internal::step(operation);
    const T old = newest();
    change(to(old), explorer_internal::order_at(place, Access::kModify, order));
    return old;
  }

  const unsigned id_;
  std::vector<Store> stores_;
};

// Where the code under test keeps what it protects.
//   kSlot  memory that is used again by the code itself: the end of one object must happen before the next one
//   kHeap  memory that comes from the allocator, which orders its use
enum class TrackedIn : bool { kSlot, kHeap };

// A value that is one thread's at a time: each use of it must have happened before the next one.
template <TrackedIn kIn = TrackedIn::kSlot>
class Tracked {
 public:
  Tracked(int value) : value_(value) { explorer_internal::touch(this); }  // NOLINT: an int converts
  Tracked(Tracked&& other) noexcept : value_(other.value()) { explorer_internal::touch(this); }
  Tracked& operator=(Tracked&& other) noexcept {
    explorer_internal::touch(this);
    value_ = other.value();
    return *this;
  }
  ~Tracked() {
    if (kIn == TrackedIn::kSlot) {
      explorer_internal::touch(this);
    } else {
      explorer_internal::forget(this);
    }
  }
  int value() const {
    explorer_internal::touch(this);
    return value_;
  }

 private:
  int value_;
};

}  // namespace weir::testing
