// says: threaded: this is a coroutine; co_await it on the loop, threads are for blocking functions
#include "weir/weir.h"

// Only the call tells what a generic lambda returns.
weir::Task<> user() {
  const auto fetch = [](auto n) -> weir::Task<int> { co_return n; };
#ifdef MISUSE
  co_await weir::threaded(fetch)(1);
#else
  co_await fetch(1);
#endif
}
