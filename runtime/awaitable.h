// What can be awaited, and what awaiting it gives.
#pragma once

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace weir::internal {

template <class A>
concept HasMemberAwait = requires(A&& a) { std::forward<A>(a).operator co_await(); };
template <class A>
concept HasFreeAwait = requires(A&& a) { operator co_await(std::forward<A>(a)); };

// The awaiter that `co_await std::forward<A>(a)` uses.
template <class A>
decltype(auto) awaiter_of(A&& a) {
  if constexpr (HasMemberAwait<A>) {
    return std::forward<A>(a).operator co_await();
  } else if constexpr (HasFreeAwait<A>) {
    return operator co_await(std::forward<A>(a));
  } else {
    return std::forward<A>(a);
  }
}

template <class A>
concept Awaitable = requires(A&& a) {
  { internal::awaiter_of(std::forward<A>(a)).await_ready() } -> std::convertible_to<bool>;
  internal::awaiter_of(std::forward<A>(a)).await_resume();
};

// What `co_await` of an rvalue A gives.
template <Awaitable A>
using await_result_t = decltype(internal::awaiter_of(std::declval<A>()).await_resume());

// What a child task delivers: the result, with references to what the awaitable owned turned into values.
template <class A>
using awaited_t = std::conditional_t<std::is_rvalue_reference_v<await_result_t<A>>,
                                     std::remove_cvref_t<await_result_t<A>>, await_result_t<A>>;

}  // namespace weir::internal
