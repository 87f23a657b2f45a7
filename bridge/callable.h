// What can run on a thread, and what it gives.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "weir/bridge/generator.h"
#include "weir/runtime/awaitable.h"

namespace weir::internal {

// What a blocking function gives when it is called with Args, or with a stop_token before them.
template <class Fn, class... Args>
struct CallResult;
template <class Fn, class... Args>
  requires std::is_invocable_v<Fn, Args...>
struct CallResult<Fn, Args...> {
  using type = std::invoke_result_t<Fn, Args...>;
};
template <class Fn, class... Args>
  requires(!std::is_invocable_v<Fn, Args...> && std::is_invocable_v<Fn, std::stop_token, Args...>)
struct CallResult<Fn, Args...> {
  using type = std::invoke_result_t<Fn, std::stop_token, Args...>;
};

template <class Fn, class... Args>
concept BlockingCallable = requires { typename CallResult<Fn, Args...>::type; };

// A method that, with its object before its arguments, cannot be called: its first parameter may be a stop_token.
template <class Fn, class... Args>
concept MethodWantsStop = std::is_member_function_pointer_v<Fn> && sizeof...(Args) != 0 && !BlockingCallable<Fn&, Args...>;

// R(A...) of a function, a method or a function object; void where the call operator is a template or overloaded.
template <class Fn>
struct SignatureOf {
  using type = void;
};
template <class R, class... A>
struct SignatureOf<R (*)(A...)> {
  using type = R(A...);
};
template <class R, class... A>
struct SignatureOf<R (*)(A...) noexcept> {
  using type = R(A...);
};
template <class R, class C, class... A>
struct SignatureOf<R (C::*)(A...)> {
  using type = R(A...);
};
template <class R, class C, class... A>
struct SignatureOf<R (C::*)(A...) const> : SignatureOf<R (C::*)(A...)> {};
template <class R, class C, class... A>
struct SignatureOf<R (C::*)(A...)&> : SignatureOf<R (C::*)(A...)> {};
template <class R, class C, class... A>
struct SignatureOf<R (C::*)(A...) const&> : SignatureOf<R (C::*)(A...)> {};
template <class R, class C, class... A>
struct SignatureOf<R (C::*)(A...) noexcept> : SignatureOf<R (C::*)(A...)> {};
template <class R, class C, class... A>
struct SignatureOf<R (C::*)(A...) const noexcept> : SignatureOf<R (C::*)(A...)> {};
template <class R, class C, class... A>
struct SignatureOf<R (C::*)(A...)& noexcept> : SignatureOf<R (C::*)(A...)> {};
template <class R, class C, class... A>
struct SignatureOf<R (C::*)(A...) const& noexcept> : SignatureOf<R (C::*)(A...)> {};
template <class Fn>
  requires requires { &Fn::operator(); }
struct SignatureOf<Fn> {
  using type = typename SignatureOf<decltype(&Fn::operator())>::type;
};

template <class Signature>
inline constexpr bool gives_awaitable = false;
template <class R, class... A>
inline constexpr bool gives_awaitable<R(A...)> = Awaitable<R>;

// A function object that only moves: copies of this one share it. Two calls at once run the same object.
template <class Fn>
class SharedCallable {
 public:
  explicit SharedCallable(Fn fn) : fn_(std::make_shared<Fn>(std::move(fn))) {}
  template <class... Args>
    requires std::is_invocable_v<Fn&, Args...>
  decltype(auto) operator()(Args&&... args) const {
    return std::invoke(*fn_, std::forward<Args>(args)...);
  }

 private:
  std::shared_ptr<Fn> fn_;
};
template <class Fn>
struct SignatureOf<SharedCallable<Fn>> : SignatureOf<Fn> {};

// How a wrapper keeps a function, of which each call has a copy.
template <class Fn>
using kept_t = std::conditional_t<std::is_copy_constructible_v<std::decay_t<Fn>>, std::decay_t<Fn>, SharedCallable<std::decay_t<Fn>>>;

// A function that can be seen to be a coroutine of the loop before anybody calls it.
template <class Fn>
concept CoroutineOfTheLoop = gives_awaitable<typename SignatureOf<Fn>::type>;

template <class R>
inline constexpr bool is_generator = false;
template <class T>
inline constexpr bool is_generator<Generator<T>> = true;

// Calls it here and now; a stop_token that it wants never stops. The function object itself where it can be called as
// const, so that the captures of a coroutine lambda live on; else a copy.
template <class Fn, class... Args>
decltype(auto) call_here(const Fn& fn, Args&&... args) {
  if constexpr (std::is_invocable_v<const Fn&, Args...>) {
    return std::invoke(fn, std::forward<Args>(args)...);
  } else if constexpr (std::is_invocable_v<const Fn&, std::stop_token, Args...>) {
    return std::invoke(fn, std::stop_token(), std::forward<Args>(args)...);
  } else {
    Fn own(fn);
    if constexpr (std::is_invocable_v<Fn&, Args...>) {
      return std::invoke(own, std::forward<Args>(args)...);
    } else {
      return std::invoke(own, std::stop_token(), std::forward<Args>(args)...);
    }
  }
}

// A method with its object.
template <class Method, class Object>
class BoundMethod {
 public:
  BoundMethod(Method method, Object object) : method_(std::move(method)), object_(std::move(object)) {}
  template <class... Args>
    requires std::is_invocable_v<Method, Object&, Args...>
  decltype(auto) operator()(Args&&... args) {
    return std::invoke(method_, object_, std::forward<Args>(args)...);
  }
  template <class... Args>
    requires std::is_invocable_v<Method, Object&, std::stop_token, Args...>
  decltype(auto) operator()(std::stop_token stop, Args&&... args) {
    return std::invoke(method_, object_, std::move(stop), std::forward<Args>(args)...);
  }

 private:
  Method method_;
  Object object_;
};

}  // namespace weir::internal
