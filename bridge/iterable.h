// threaded_iterable: a blocking producer on a thread, as a stream with backpressure on a loop.
//
//   weir::Generator<std::string> read_lines(std::string path) { …; co_yield line; }
//
//   auto lines = weir::threaded_iterable(read_lines, {.max_size = 2});
//   auto it = lines(path);                                   // nothing has run yet; the first next() starts it
//   while (auto line = co_await it.next()) use(*line);       // std::optional<std::string>
//   co_await it.close();
//
// Items come in their order; what the producer threw comes after the items before it, once, then nullopt. A producer is
// any callable that returns an input range, or that takes a Sink<T>& first (producer.h); it runs in a snapshot of the
// context variables of the call, and LoopHandle::current() is known in it.
//
// max_size 0, the default, is unbounded. Otherwise the producing thread sleeps on a futex while max_size items wait; it is
// never more than max_size + 1 items ahead, and goes on at the latest when the loop idles. Closing, or dropping the
// IteratorWrapper on any thread, wakes it at once and stops it at its co_yield: its frame is destroyed there, on its own
// thread. A push-style producer gets ChannelClosed from put(). One that waits in sync_await gets Cancelled there, and
// what it waits for is cancelled; where it blocks otherwise, in a read or a lock, the end waits until it comes back.
//
// Loop's thread: next(), next_batch(), close(). One consumer at a time: a second next() while one waits is
// std::logic_error. Cancelling a next() loses no item. Cost: two allocations a stream and its blocks of items; none an
// item; a post, and an eventfd write if the loop sleeps, for each time that the reader had to wait.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/bridge/no_range.h"
#include "weir/bridge/producer.h"
#include "weir/bridge/stream_state.h"
#include "weir/runtime/task.h"

namespace weir {

struct IterableOptions {
  std::size_t max_size = 0;      // items that may wait; 0: no limit
  Executor* executor = nullptr;  // whose thread produces; null: the loop's own pool. Outlives the stream.
};

struct IterableStats {
  uint64_t put = 0;              // items that the producer has put
  uint64_t got = 0;              // items that were taken
  uint64_t producer_sleeps = 0;  // times that it slept because the stream was full
  uint64_t producer_wakeups = 0;
  uint64_t reader_wakeups = 0;   // times that the loop's side had waited
};

namespace internal {

inline constexpr unsigned kReadyItemsMax = 256;  // taken in a row without letting other tasks run

// What close() returns: await it for the producer's end, or drop it.
class StreamClosing {
 public:
  explicit StreamClosing(StreamStateBase* state) noexcept : state_(state) {
    if (state_ != nullptr) state_->retain();
  }
  StreamClosing(StreamClosing&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  StreamClosing& operator=(StreamClosing&&) = delete;
  ~StreamClosing() {
    if (state_ != nullptr) state_->release();
  }

  class Awaiter {
   public:
    explicit Awaiter(StreamStateBase* state) noexcept {
      if (state != nullptr) waiter_.emplace(*state);
    }
    bool await_ready() const { return !waiter_ || waiter_->await_ready(); }
    void await_suspend(std::coroutine_handle<> point) noexcept { waiter_->await_suspend(point); }
    void await_resume() const {
      if (waiter_) waiter_->await_resume();
    }

   private:
    std::optional<StreamStateBase::EndWaiter> waiter_;
  };
  Awaiter operator co_await() const { return Awaiter(state_); }

 private:
  StreamStateBase* state_;
};

enum class AdoptStream { kTakeReference };

std::size_t default_generator_max_size();
[[noreturn]] void throw_no_stream();
[[noreturn]] void throw_second_reader();

}  // namespace internal

template <class T>
class IteratorWrapper {
 public:
  // A producer without arguments: IteratorWrapper it([] { return rows(); }, {.max_size = 10});
  template <class Fn>
    requires(!std::is_same_v<std::decay_t<Fn>, IteratorWrapper>)
  explicit IteratorWrapper(Fn&& fn, IterableOptions options = {})
      : state_(new internal::ProducedStream<T, std::decay_t<Fn>>(options.executor, options.max_size, std::forward<Fn>(fn))) {}

  IteratorWrapper(internal::AdoptStream, internal::StreamState<T>& state) noexcept : state_(&state) {}
  IteratorWrapper(IteratorWrapper&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  IteratorWrapper& operator=(IteratorWrapper&& other) noexcept {
    const IteratorWrapper old(std::move(*this));
    state_ = std::exchange(other.state_, nullptr);
    return *this;
  }
  ~IteratorWrapper() {
    if (state_ != nullptr) state_->drop_consumer();
  }

  class Next final : public internal::Suspension {
   public:
    explicit Next(internal::StreamState<T>& state, unsigned& ready_in_a_row) noexcept
        : state_(state), ready_in_a_row_(ready_in_a_row) {}
    ~Next() {
      if (waits_) state_.release();
    }

    bool await_ready() {
      internal::Root::current().throw_if_interrupted();
      if (state_.closed()) return true;
      if (!state_.readable_here()) [[unlikely]] begin();
      got_ = state_.ring.get(item_);
      // Never lets others run with the end in hand: they may drop the IteratorWrapper.
      if (got_ == internal::RingGet::kItem) return ++ready_in_a_row_ < internal::kReadyItemsMax;
      return got_ == internal::RingGet::kEnd;
    }
    bool await_suspend(std::coroutine_handle<> point) {
      root_ = internal::thread_state.root;
      ready_in_a_row_ = 0;
      if (got_ == internal::RingGet::kItem) {
        root_->engine().yield(*root_, point);
        return true;
      }
      if (!state_.ring.wait()) return false;
      waits_ = true;
      state_.retain();  // the IteratorWrapper may be dropped meanwhile
      state_.set_waiting(root_);
      root_->wait(point, *this);
      return true;
    }
    std::optional<T> await_resume() {
      if (got_ == internal::RingGet::kItem) [[likely]] return std::move(item_);
      if (given_up_) throw Cancelled();
      if (waits_) state_.set_waiting(nullptr);
      if (state_.closed() && !item_) return std::nullopt;
      if (got_ == internal::RingGet::kEmpty) got_ = state_.ring.get(item_);
      if (got_ == internal::RingGet::kEmpty) throw Cancelled();  // the notice of a cancelled next() came without an item
      if (got_ == internal::RingGet::kEnd) {
        state_.reached_end();
        if (std::exception_ptr failure = state_.ring.take_error()) std::rethrow_exception(failure);
      }
      return std::move(item_);
    }

   private:
    void begin() {
      if (state_.waiting() != nullptr) internal::throw_second_reader();
      if (state_.started()) return state_.check_loop();
      state_.start();
    }
    void cancel() noexcept override {
      if (!state_.ring.cancel_wait()) return;  // the notice is on its way, with an item or the end
      given_up_ = true;
      state_.set_waiting(nullptr);
      root_->ready();
    }

    internal::StreamState<T>& state_;
    unsigned& ready_in_a_row_;
    internal::Root* root_ = nullptr;
    std::optional<T> item_;
    internal::RingGet got_ = internal::RingGet::kEmpty;
    bool waits_ = false;
    bool given_up_ = false;
  };

  class [[nodiscard("co_await it.next()")]] NextCall {
   public:
    NextCall(internal::StreamState<T>& state, unsigned& ready_in_a_row) noexcept : state_(state), ready_(ready_in_a_row) {}
    Next operator co_await() const noexcept { return Next(state_, ready_); }

   private:
    internal::StreamState<T>& state_;
    unsigned& ready_;
  };

  // The next item; nullopt at the end, and after close().
  NextCall next() { return NextCall(state(), ready_in_a_row_); }

  // Up to `count` items of those that are there, at least one; empty at the end.
  Task<std::vector<T>> next_batch(std::size_t count) {
    std::vector<T> items;
    if (count == 0) co_return items;
    std::optional<T> first = co_await next();
    if (!first) co_return items;
    items.push_back(std::move(*first));
    state().ring.get_some(items, count - 1);
    co_return items;
  }

  // For the message of a range-for.
  internal::NoRange<T> begin() {
    static_assert(internal::never<T>, "a stream is no range: while (auto item = co_await it.next()) reads it on the loop");
    return {};
  }
  internal::NoRange<T> end() { return {}; }

  // Nobody wants more: acts in the call. Awaiting it waits until the producer's frame is destroyed and its thread is
  // free. Idempotent.
  internal::StreamClosing close() noexcept {
    if (state_ != nullptr) state_->close();
    return internal::StreamClosing(state_);
  }

  // Closed, or its producer has ended. Items may still be there in the latter case: the end is what next() says it is.
  bool closed() const noexcept { return state_ == nullptr || state_->closed() || state_->ended(); }

  IterableStats stats() const {
    const internal::RingCounters counters = state().ring.counters();
    IterableStats stats;
    stats.put = counters.put;
    stats.got = counters.got;
    stats.producer_sleeps = counters.producer_sleeps;
    stats.producer_wakeups = counters.producer_wakeups;
    stats.reader_wakeups = counters.reader_wakeups;
    return stats;
  }

 private:
  internal::StreamState<T>& state() const {
    if (state_ == nullptr) internal::throw_no_stream();
    return *state_;
  }

  internal::StreamState<T>* state_;
  unsigned ready_in_a_row_ = 0;
};

template <class Fn>
IteratorWrapper(Fn&&, IterableOptions = {}) -> IteratorWrapper<internal::item_t<std::decay_t<Fn>>>;

// A producer, callable: each call is a new stream.
template <class Fn>
class ThreadedIterable {
  static_assert(!internal::CoroutineOfTheLoop<Fn>,
                "threaded_iterable: this is a coroutine of the loop; threads run blocking producers");

 public:
  ThreadedIterable(Fn fn, IterableOptions options) : fn_(std::move(fn)), options_(options) {}

  template <class... Args>
  auto operator()(Args&&... args) const {
    return async_call(std::forward<Args>(args)...);
  }
  template <class... Args>
  auto async_call(Args&&... args) const {
    if constexpr (internal::PushingMethod<Fn> || internal::MethodWantsStop<Fn, std::decay_t<Args>...>) {
      return call_method(std::forward<Args>(args)...);
    } else {
      using T = internal::item_t<Fn, std::decay_t<Args>...>;
      using State = internal::ProducedStream<T, Fn, std::decay_t<Args>...>;
      auto* state = new State(options_.executor, options_.max_size, fn_, std::forward<Args>(args)...);
      return IteratorWrapper<T>(internal::AdoptStream::kTakeReference, *state);
    }
  }

  // The plain range, on this thread.
  template <class... Args>
  auto sync_call(Args&&... args) const {
    return internal::call_here(fn_, std::forward<Args>(args)...);
  }

  ThreadedIterable on(Executor& executor) const {
    IterableOptions options = options_;
    options.executor = &executor;
    return ThreadedIterable(fn_, options);
  }
  template <class Object>
    requires std::is_member_function_pointer_v<Fn>
  auto bind(Object object) const {
    using Bound = internal::BoundMethod<Fn, Object>;
    using Kept = internal::kept_t<Bound>;
    return ThreadedIterable<Kept>(Kept(Bound(fn_, std::move(object))), options_);
  }

 private:
  // A method that takes its Sink, or a stop_token, behind its object.
  template <class Object, class... Args>
  auto call_method(Object&& object, Args&&... args) const {
    return bind(std::decay_t<Object>(std::forward<Object>(object))).async_call(std::forward<Args>(args)...);
  }

  Fn fn_;
  IterableOptions options_;
};

template <class Fn>
auto threaded_iterable(Fn&& fn, IterableOptions options = {}) {
  using Kept = internal::kept_t<Fn>;
  return ThreadedIterable<Kept>(Kept(std::forward<Fn>(fn)), options);
}

}  // namespace weir
