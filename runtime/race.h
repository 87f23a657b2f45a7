// race: several awaitables at once, the result of the first that ends.
//
//   auto first = co_await weir::race(fetch(a), fetch(b));      // std::variant; index() tells which
//
// Each runs as a task of its own, in a snapshot of the context variables taken in the call. The first to end wins, also
// by exception; the losers are cancelled and waited for, and their failures go to LoopOptions::on_unhandled. Cancelling
// who awaits cancels all. Loop's thread. Cost: a frame each, and one allocation.
#pragma once

#include <array>
#include <tuple>
#include <utility>
#include <variant>

#include "weir/runtime/children.h"
#include "weir/runtime/gather.h"
#include "weir/runtime/task.h"

namespace weir {
namespace internal {

template <class Variant, std::size_t I, class Handles>
Variant take_winner(const Handles& handles, std::size_t winner) {
  if constexpr (I + 1 < std::tuple_size_v<Handles>) {
    if (winner != I) return internal::take_winner<Variant, I + 1>(handles, winner);
  }
  return Variant(std::in_place_index<I>, internal::take_result(std::get<I>(handles)));
}

template <class... A>
Task<std::variant<or_monostate<awaited_t<A>>...>> race_all(Context snapshot, A... awaitables) {
  const auto start = [&snapshot](auto& awaitable) {
    const ContextScope scope(snapshot);
    return internal::spawn_owned(std::move(awaitable), "race");
  };
  std::tuple<JoinHandle<awaited_t<A>>...> handles{start(awaitables)...};
  const auto states = std::apply(
      [](const auto&... handle) { return std::array<JoinStateBase*, sizeof...(A)>{&JoinAccess::state(handle)...}; }, handles);
  Children children(states, Children::Until::kFirstEnds);
  co_await children;
  children.settle();
  co_return internal::take_winner<std::variant<or_monostate<awaited_t<A>>...>, 0>(handles, children.decider());
}

}  // namespace internal

// void results become std::monostate.
template <class... A>
  requires(sizeof...(A) > 0 && (internal::Awaitable<A> && ...))
Task<std::variant<internal::or_monostate<internal::awaited_t<A>>...>> race(A... awaitables) {
  return internal::race_all<A...>(internal::Context::current(), std::move(awaitables)...);
}

}  // namespace weir
