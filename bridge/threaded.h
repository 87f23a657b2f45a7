// threaded: a blocking function, callable from a loop.
//
//   auto digest = weir::threaded([](std::string path) { return slow_hash(path); });
//   std::string d = co_await digest("/etc/hosts");       // on the loop's pool
//   d = digest.sync_call("/etc/hosts");                  // here and now, on this thread
//
// The call itself submits the job, with a snapshot of the context variables; awaiting gives the result, or the very
// exception that the function threw. Arguments are copied or moved into the job (std::ref for a reference). Each call has a
// copy of the function; one that can only be moved is shared by its calls. A first parameter std::stop_token gets the
// job's, which a cancelled caller sets. See call.h for cancelling.
//
//   threaded(f).attached()      a cancelled caller waits for a running job: it may refer to the caller's locals
//   threaded(f).on(pool)        on another Executor, which outlives the calls
//   threaded(&Store::compact)   methods: call(&store, 3), or .bind(&store) and call(3)
//   threaded(generator)         a function that returns Generator<T> becomes a stream, as threaded_iterable() makes them
//
// Threads: any; a call belongs to the loop that runs on the calling thread.
#pragma once

#include <functional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "weir/bridge/call.h"
#include "weir/bridge/callable.h"
#include "weir/bridge/iterable.h"
#include "weir/runtime/awaitable.h"

namespace weir {
namespace internal {

bool on_a_loop() noexcept;

}  // namespace internal

template <class Fn>
class Threaded {
  static_assert(!internal::CoroutineOfTheLoop<Fn>,
                "threaded: this is a coroutine; co_await it on the loop, threads are for blocking functions");

 public:
  explicit Threaded(Fn fn, Executor* executor = nullptr, internal::CallKind kind = internal::CallKind::kDetached)
      : fn_(std::move(fn)), executor_(executor), kind_(kind) {}

  template <class... Args>
  auto operator()(Args&&... args) const {
    return async_call(std::forward<Args>(args)...);
  }

  // Submits the job and gives its Call; where no loop runs on this thread, co_await submits it.
  template <class... Args>
  auto async_call(Args&&... args) const {
    if constexpr (internal::MethodWantsStop<Fn, std::decay_t<Args>...>) {
      return call_method(std::forward<Args>(args)...);
    } else {
      return call(std::forward<Args>(args)...);
    }
  }

  // Runs it here and now: no pool, no loop, this thread's own context.
  template <class... Args>
  decltype(auto) sync_call(Args&&... args) const {
    if constexpr (internal::MethodWantsStop<Fn, Args...>) {
      return sync_call_method(std::forward<Args>(args)...);
    } else {
      static_assert(internal::BlockingCallable<Fn&, Args...>, "threaded: the function cannot be called with these arguments");
      return internal::call_here(fn_, std::forward<Args>(args)...);
    }
  }

  Threaded attached() const { return Threaded(fn_, executor_, internal::CallKind::kAttached); }
  Threaded on(Executor& executor) const { return Threaded(fn_, &executor, kind_); }

  // The object is a pointer, std::ref or std::shared_ptr: how long it lives is the caller's choice.
  template <class Object>
    requires std::is_member_function_pointer_v<Fn>
  auto bind(Object object) const {
    using Bound = internal::BoundMethod<Fn, Object>;
    using Kept = internal::kept_t<Bound>;
    return Threaded<Kept>(Kept(Bound(fn_, std::move(object))), executor_, kind_);
  }

 private:
  template <class... Args>
  auto call(Args&&... args) const {
    static_assert(internal::BlockingCallable<Fn&, std::decay_t<Args>...>,
                  "threaded: the function cannot be called with these arguments, which are copied: std::ref for a reference");
    using R = typename internal::CallResult<Fn&, std::decay_t<Args>...>::type;
    static_assert(!internal::Awaitable<R>,
                  "threaded: this is a coroutine; co_await it on the loop, threads are for blocking functions");
    if constexpr (internal::is_generator<R>) {
      const IterableOptions options{.max_size = internal::default_generator_max_size(), .executor = executor_};
      return threaded_iterable(fn_, options)(std::forward<Args>(args)...);
    } else {
      using State = internal::TypedCallState<R, Fn, std::decay_t<Args>...>;
      auto* state = new State(executor_, kind_, fn_, std::forward<Args>(args)...);
      Call<R> made(*state);
      if (internal::on_a_loop()) state->submit();
      return made;
    }
  }

  // A method that takes a stop_token behind its object.
  template <class Object, class... Args>
  auto call_method(Object&& object, Args&&... args) const {
    return bind(std::decay_t<Object>(std::forward<Object>(object))).async_call(std::forward<Args>(args)...);
  }
  template <class Object, class... Args>
  decltype(auto) sync_call_method(Object&& object, Args&&... args) const {
    return bind(std::decay_t<Object>(std::forward<Object>(object))).sync_call(std::forward<Args>(args)...);
  }

  Fn fn_;
  Executor* executor_;
  internal::CallKind kind_;
};

template <class Fn>
auto threaded(Fn&& fn) {
  using Kept = internal::kept_t<Fn>;
  return Threaded<Kept>(Kept(std::forward<Fn>(fn)));
}

}  // namespace weir
