// What can produce a stream: a callable that returns an input range, or one that takes a Sink<T>& first.
//
//   weir::Generator<Row> rows(std::string query);                       // co_yield row
//   void rows(weir::Sink<Row>& sink, std::string query);                // sink.put(row)
//
// Either may take a std::stop_token as its first parameter, which is set when nobody wants more.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <ranges>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weir/bridge/callable.h"
#include "weir/bridge/channel_errors.h"
#include "weir/bridge/stream_state.h"
#include "weir/runtime/awaitable.h"

namespace weir {

namespace internal {

// False: closed, which the producer knows from here on.
template <class T>
bool put_or_learn(BoundedRing<T>& ring, std::type_identity_t<T>&& item) {
  if (ring.put(std::move(item))) return true;
  if (Interrupt* const interrupt = Interrupt::current()) interrupt->learn();
  return false;
}

}  // namespace internal

// Where a producer puts its items. On the producing thread, during the call.
template <class T>
class Sink {
 public:
  explicit Sink(internal::BoundedRing<T>& ring) noexcept : ring_(ring) {}
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // Sleeps while the stream is full. ChannelClosed when nobody wants more, now and at each further put.
  void put(T item) {
    if (!internal::put_or_learn(ring_, std::move(item))) throw ChannelClosed("weir: nobody wants more of this stream");
  }

 private:
  internal::BoundedRing<T>& ring_;
};

namespace internal {

// The T of a callable whose first parameter (after a stop_token) is Sink<T>&; void for others.
template <class Signature>
struct SinkOf {
  using type = void;
};
template <class R, class T, class... Rest>
struct SinkOf<R(Sink<T>&, Rest...)> {
  using type = T;
};
template <class R, class T, class... Rest>
struct SinkOf<R(std::stop_token, Sink<T>&, Rest...)> {
  using type = T;
};
template <class R, class T, class... Rest>
struct SinkOf<R(const std::stop_token&, Sink<T>&, Rest...)> {
  using type = T;
};

template <class Fn>
using sink_item_t = typename SinkOf<typename SignatureOf<Fn>::type>::type;
template <class Fn>
concept PushesIntoSink = !std::is_void_v<sink_item_t<Fn>>;
template <class Fn>
concept PushingMethod = std::is_member_function_pointer_v<Fn> && PushesIntoSink<Fn>;

// An item, if it can travel.
template <class T>
struct StreamItem {
  static_assert(std::is_move_constructible_v<T>,
                "threaded_iterable: items go from thread to thread, so they must be movable or copyable; yield a std::unique_ptr");
  using type = T;
};

// The item of a stream that Fn produces when it is called with Args.
template <class Fn, class... Args>
struct ItemOf {
  static_assert(BlockingCallable<Fn&, Args...>,
                "threaded_iterable: the producer cannot be called with these arguments, which are copied: std::ref for a reference");
  using Range = typename CallResult<Fn&, Args...>::type;
  static_assert(!Awaitable<Range>, "threaded_iterable: this is a coroutine of the loop; threads run blocking producers");
  static_assert(std::ranges::input_range<Range>,
                "threaded_iterable: the producer must return an input range (a Generator, a container), or take a Sink<T>& first");
  using type = typename StreamItem<std::ranges::range_value_t<Range>>::type;
};
template <PushesIntoSink Fn, class... Args>
struct ItemOf<Fn, Args...> {
  using type = typename StreamItem<sink_item_t<Fn>>::type;
};
template <class Method, class Object, class... Args>
  requires PushesIntoSink<Method>
struct ItemOf<BoundMethod<Method, Object>, Args...> {
  using type = typename StreamItem<sink_item_t<Method>>::type;
};

template <class Fn, class... Args>
using item_t = typename ItemOf<Fn, Args...>::type;

// A stream and what produces it.
template <class T, class Fn, class... Args>
class ProducedStream final : public StreamState<T> {
 public:
  template <class F, class... A>
  ProducedStream(Executor* executor, std::size_t max_size, F&& fn, A&&... args)
      : StreamState<T>(executor, max_size), fn_(std::in_place, std::forward<F>(fn)), args_(std::in_place, std::forward<A>(args)...) {}

 private:
  void produce(std::stop_token stop) override {
    const auto call = [&](Args&... args) { this->make_items(std::move(stop), std::forward<Args>(args)...); };
    std::apply(call, *args_);
  }

  template <class... A>
  void make_items(std::stop_token stop, A&&... args) {
    Sink<T> sink(this->ring);
    if constexpr (std::is_invocable_v<Fn&, Sink<T>&, A...>) {
      push([&] { std::invoke(*fn_, sink, std::forward<A>(args)...); });
    } else if constexpr (std::is_invocable_v<Fn&, std::stop_token, Sink<T>&, A...>) {
      push([&] { std::invoke(*fn_, std::move(stop), sink, std::forward<A>(args)...); });
    } else if constexpr (std::is_invocable_v<Fn&, A...>) {
      pull(std::invoke(*fn_, std::forward<A>(args)...));
    } else {
      pull(std::invoke(*fn_, std::move(stop), std::forward<A>(args)...));
    }
  }

  // That the producer learned of the close by an exception is no failure.
  template <class Call>
  void push(Call call) {
    try {
      call();
    } catch (const ChannelClosed&) {
      if (!this->ring.closed()) throw;
    }
  }

  template <class Range>
  void pull(Range&& range) {
    constexpr bool kOwned = !std::is_lvalue_reference_v<Range> && !std::ranges::view<std::remove_cvref_t<Range>>;
    for (auto&& item : range) {
      if constexpr (kOwned) {  // a container that was returned by value
        if (!internal::put_or_learn(this->ring, T(std::move(item)))) return;
      } else {
        if (!internal::put_or_learn(this->ring, T(std::forward<decltype(item)>(item)))) return;
      }
    }
  }

  void forget_producer() noexcept override {
    fn_.reset();
    args_.reset();
  }

  std::optional<Fn> fn_;
  std::optional<std::tuple<Args...>> args_;
};

}  // namespace internal
}  // namespace weir
