// Atomics whose loads may give old values, and plain objects whose unordered use is noticed: the memory of the explorer.
//
// The model is that of C++20, made operational by views. An atomic keeps all values that were stored, in their order. A
// thread's view says, for each atomic, the oldest store that it may still read, and for each thread, up to when what that
// one did has happened before. Then:
//   - a load picks any store that is not older than the view, and moves the view there; an acquire load also joins the
//     view that a release store left with its value; so does a compare-exchange that fails, and the look of a futex;
//   - a read-modify-write reads the newest store, and carries the view of that on (a release sequence);
//   - S is the order of the sequentially consistent operations. Stores, read-modify-writes and fences take their place in
//     it when they are made, a load the earliest that it can have: it is not older than what was stored in S before a
//     store or a fence of S that happened before the load. So a load may overtake all that stands before it in its
//     thread, but for what is in S, too;
//   - who uses an atomic must know that it was made;
//   - a full fence (membarrier, a system call) joins what S knows and the thread's view in both directions, for atomics
//     only: it orders no use of a plain object.
//   - a weak compare-exchange may fail although it has read what it expected.
// Left out, so that code may do more than is explored here: a store enters its atomic's order, and S, when it is made, not
// behind the back of later ones; nothing is read before it is written.
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

// For each atomic, the oldest of its stores that may still be read.
using Oldest = std::array<uint16_t, kAtomicsMax>;

template <size_t kSize>
void join(std::array<uint16_t, kSize>& into, const std::array<uint16_t, kSize>& other) {
  for (size_t i = 0; i < kSize; ++i) into[i] = std::max(into[i], other[i]);
}

struct View {
  Oldest atomics{};
  Oldest sequential{};  // the same for sequentially consistent loads
  std::array<uint16_t, kThreadsMax> clocks{};

  void join(const View& other) {
    explorer_internal::join(atomics, other.atomics);
    explorer_internal::join(sequential, other.sequential);
    explorer_internal::join(clocks, other.clocks);
  }
};

// What mutate() leaves out.
inline constexpr char kNothingNew[] = "load tells nothing new";
inline constexpr char kNoComparison[] = "exchange without a comparison";
inline constexpr char kNoAnswer[] = "exchange tells nothing new";

enum class Access : uint8_t { kLoad, kStore, kModify, kFailure };

// What a thread did, so that others can tell whether it has happened before.
struct Moment {
  size_t thread = 0;
  uint16_t clock = 0;  // 0: before all threads
};

bool in_thread();                                    // else: in the making of a scenario, or in its check
void step(const char* operation);                    // another thread may go on here
unsigned new_atomic();
size_t my_index();
View& my_view();
Oldest& sequential();                                // what was stored in S
unsigned choose_stale(unsigned older);               // 0: the newest; else another one, of so many that are older
void released();                                     // what I did until now goes with what I publish
std::memory_order order_at(const Place& place, Access access, std::memory_order order);
bool left_out(const Place& place, const char* change);  // the mutant at work is this change, here
Moment now();
void require_happened(const Moment& moment);
void system_call();
void fence_all();
enum class Sleep : uint8_t { kEvent, kFutex, kFutexWithDeadline };
bool sleep_on(const void* word, Sleep how);          // false: the deadline has come
bool surprised();                                    // something that may fail for no reason does
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
    begin("load");
    if (!explorer_internal::in_thread()) return newest();
    if (explorer_internal::left_out(place, explorer_internal::kNothingNew)) return stores_[last_seen()].value;
    return look(explorer_internal::order_at(place, Access::kLoad, order));
  }

  // The comparison of a futex, or of whoever else has just passed a full fence.
  T look() const { return look(std::memory_order_relaxed); }

  void store(T value, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    begin("store");
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
    return compare_exchange(expected, desired, success, failure, place, [] { return false; });
  }
  bool compare_exchange_strong(T& expected, T desired, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    return compare_exchange_strong(expected, desired, order, on_failure(order), place);
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure, const Place& place = Place::current()) {
    return compare_exchange(expected, desired, success, failure, place, explorer_internal::surprised);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order = std::memory_order_seq_cst, const Place& place = Place::current()) {
    return compare_exchange_weak(expected, desired, order, on_failure(order), place);
  }

  T newest() const { return stores_.back().value; }

 private:
  struct Store {
    T value;
    View message;  // what who acquires this value gets to know
  };

  void begin(const char* operation) const {
    explorer_internal::step(operation);
    explorer_internal::require_happened(made_);
  }

  unsigned last() const { return static_cast<unsigned>(stores_.size() - 1); }
  uint16_t& last_seen() const { return last_seen_[explorer_internal::my_index()]; }

  unsigned oldest(Order order) const {
    const View& mine = explorer_internal::my_view();
    return order == std::memory_order_seq_cst ? std::max(mine.atomics[id_], mine.sequential[id_]) : mine.atomics[id_];
  }

  T look(Order order) const {
    if (!explorer_internal::in_thread()) return newest();
    const unsigned index = last() - explorer_internal::choose_stale(last() - oldest(order));
    see(index, order);
    return stores_[index].value;
  }

  static Order on_failure(Order order) {
    return order == std::memory_order_acq_rel   ? std::memory_order_acquire
           : order == std::memory_order_release ? std::memory_order_relaxed
                                                : order;
  }

  template <class FailsAnyway>
  bool compare_exchange(T& expected, T desired, Order success, Order failure, const Place& place, FailsAnyway fails_anyway) {
    begin("compare_exchange");
    const bool compares = !explorer_internal::left_out(place, explorer_internal::kNoComparison);
    const unsigned index = compares ? choose_compared(expected, failure, place) : last();
    if (compares && (stores_[index].value != expected || fails_anyway())) {
      see(index, explorer_internal::order_at(place, Access::kFailure, failure));
      expected = stores_[index].value;
      return false;
    }
    change(desired, explorer_internal::order_at(place, Access::kModify, success));
    return true;
  }

  // The newest, or an older one, if that is not `expected`.
  unsigned choose_compared(T expected, Order failure, const Place& place) const {
    if (!explorer_internal::in_thread() || oldest(std::memory_order_relaxed) == last()) return last();
    const unsigned end = oldest(explorer_internal::order_at(place, Access::kFailure, failure));
    unsigned older = 0;
    for (unsigned i = end; i < last(); ++i) older += stores_[i].value != expected ? 1 : 0;
    unsigned chosen = explorer_internal::choose_stale(older);
    unsigned index = last();
    while (chosen != 0) chosen -= stores_[--index].value != expected ? 1 : 0;
    return index;
  }

  void see(unsigned index, Order order) const {
    if (!explorer_internal::in_thread()) return;
    View& mine = explorer_internal::my_view();
    mine.atomics[id_] = last_seen() = static_cast<uint16_t>(index);
    if (explorer_internal::acquires(order)) mine.join(stores_[index].message);
  }

  void append(T value, View message, Order order) {
    if (!explorer_internal::in_thread()) {
      stores_.back().value = value;
      return;
    }
    View& mine = explorer_internal::my_view();
    mine.atomics[id_] = last_seen() = static_cast<uint16_t>(stores_.size());
    if (order == std::memory_order_seq_cst) {
      explorer_internal::sequential()[id_] = mine.atomics[id_];
      explorer_internal::join(mine.sequential, explorer_internal::sequential());
    }
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
    begin(operation);
    const T old = newest();
    T answer = old;
    if constexpr (!std::is_pointer_v<T>) {
      if (explorer_internal::in_thread() && explorer_internal::left_out(place, explorer_internal::kNoAnswer)) {
        answer = stores_[last_seen()].value;
      }
    }
    change(to(old), explorer_internal::order_at(place, Access::kModify, order));
    return answer;
  }

  const unsigned id_;
  const explorer_internal::Moment made_ = explorer_internal::now();  // its first value is known only to who knows of that
  std::vector<Store> stores_;
  mutable std::array<uint16_t, explorer_internal::kThreadsMax> last_seen_{};
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
