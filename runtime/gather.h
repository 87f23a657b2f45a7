// gather: several awaitables at once, all their results.
//
//   auto [a, b] = co_await weir::gather(fetch(x), fetch(y));
//
// Each runs as a task of its own, in a snapshot of the context variables taken in the call. The first failure (an
// exception; a non-OK Status is a result) cancels the others, waits for all of them, then is rethrown; later failures go
// to LoopOptions::on_unhandled. Cancelling who awaits cancels all and waits for them. A JoinHandle or Call moved in is
// cancelled with the rest. Loop's thread. Cost: a frame each, and one allocation.
#pragma once

#include <array>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weir/runtime/children.h"
#include "weir/runtime/context.h"
#include "weir/runtime/task.h"

namespace weir {
namespace internal {

template <class R>
using or_monostate = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

// The value of a task that succeeded.
template <class R>
or_monostate<R> take_result(const JoinHandle<R>& handle) {
  auto& result = JoinAccess::state(handle).result;
  if constexpr (std::is_void_v<R>) {
    result.take();
    return {};
  } else {
    return result.take();
  }
}

template <class... A>
Task<std::tuple<or_monostate<awaited_t<A>>...>> gather_all(Context snapshot, A... awaitables) {
  const auto start = [&snapshot](auto& awaitable) {
    const ContextScope scope(snapshot);
    return internal::spawn_owned(std::move(awaitable), "gather");
  };
  std::tuple<JoinHandle<awaited_t<A>>...> handles{start(awaitables)...};
  const auto states = std::apply(
      [](const auto&... handle) { return std::array<JoinStateBase*, sizeof...(A)>{&JoinAccess::state(handle)...}; }, handles);
  Children children(states, Children::Until::kAllSucceed);
  co_await children;
  children.settle();
  co_return std::apply(
      [](const auto&... handle) {
        return std::tuple<or_monostate<awaited_t<A>>...>{internal::take_result(handle)...};
      },
      handles);
}

template <class A>
Task<std::conditional_t<std::is_void_v<awaited_t<A>>, void, std::vector<or_monostate<awaited_t<A>>>>> gather_vector(
    Context snapshot, std::vector<A> awaitables) {
  using R = awaited_t<A>;
  std::vector<JoinHandle<R>> handles;
  std::vector<JoinStateBase*> states;
  handles.reserve(awaitables.size());
  states.reserve(awaitables.size());
  {
    const ContextScope scope(snapshot);
    for (A& awaitable : awaitables) {
      handles.push_back(internal::spawn_owned(std::move(awaitable), "gather"));
      states.push_back(&JoinAccess::state(handles.back()));
    }
  }
  awaitables.clear();
  Children children(states, Children::Until::kAllSucceed);
  co_await children;
  children.settle();
  if constexpr (!std::is_void_v<R>) {
    std::vector<R> results;
    results.reserve(handles.size());
    for (const auto& handle : handles) results.push_back(internal::take_result(handle));
    co_return results;
  }
}

}  // namespace internal

// void results become std::monostate.
template <class... A>
  requires(sizeof...(A) > 0 && (internal::Awaitable<A> && ...))
Task<std::tuple<internal::or_monostate<internal::awaited_t<A>>...>> gather(A... awaitables) {
  return internal::gather_all<A...>(internal::Context::current(), std::move(awaitables)...);
}

// In the order of the vector; Task<void> for awaitables without a value.
template <class A>
  requires internal::Awaitable<A>
auto gather(std::vector<A> awaitables) {
  return internal::gather_vector<A>(internal::Context::current(), std::move(awaitables));
}

}  // namespace weir
