// entrypoint: a program's main(), as a loop, its pool and the signals that end it.
//
//   int main() { return weir::entrypoint({.pool_size = 8}, serve()); }       // weir::Task<int> or Task<> serve()
//
// The exit status: what serve() gives (a Task<> 0); cancelled by SIGINT or SIGTERM: 128 + the signal's number; an
// exception: one line on stderr, and 1. The first signal cancels serve(), a second one ends the process at once with
// _exit(128 + signal). What has not ended shutdown_timeout after the first signal, or after serve()'s end, is named on
// stderr, and the process ends with _exit(70).
//
// Threads: the loop runs on the calling one. Signals are caught for the whole process while entrypoint runs, by one
// entrypoint at a time, and the handlers before it are put back.
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"
#include "weir/runtime/awaitable.h"
#include "weir/runtime/loop.h"
#include "weir/runtime/task.h"

namespace weir {

struct EntrypointOptions {
  unsigned pool_size = 0;  // of the loop's own pool; 0: $WEIR_POOL_SIZE, else the pool's default
  absl::Duration shutdown_timeout = absl::Seconds(60);
  bool catch_signals = true;  // SIGINT and SIGTERM
  LoopOptions loop = {};
};

namespace internal {

int run_entrypoint(const EntrypointOptions& options, Task<int> main);
std::unique_ptr<Loop> loop_with_pool(const LoopOptions& options, unsigned pool_size);

template <class A>
Task<int> exit_status_of(A awaitable) {
  A own(std::move(awaitable));
  if constexpr (std::is_void_v<awaited_t<A>>) {
    co_await std::move(own);
    co_return 0;
  } else {
    co_return co_await std::move(own);
  }
}

}  // namespace internal

template <class A>
  requires(internal::Awaitable<A> && (std::is_void_v<internal::awaited_t<A>> || std::same_as<internal::awaited_t<A>, int>))
int entrypoint(const EntrypointOptions& options, A awaitable) {
  return internal::run_entrypoint(options, internal::exit_status_of<A>(std::move(awaitable)));
}

template <class A>
  requires(internal::Awaitable<A> && (std::is_void_v<internal::awaited_t<A>> || std::same_as<internal::awaited_t<A>, int>))
int entrypoint(A awaitable) {
  return weir::entrypoint(EntrypointOptions(), std::move(awaitable));
}

// A loop and its pool, for one awaitable; no signals. Rethrows; std::runtime_error, with cause and cure, where the kernel
// gives no loop.
template <class A>
  requires internal::Awaitable<A>
internal::awaited_t<A> run(A awaitable) {
  const std::unique_ptr<Loop> loop = internal::loop_with_pool(LoopOptions(), 0);
  return loop->run(std::move(awaitable));
}

}  // namespace weir
