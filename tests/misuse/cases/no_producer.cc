// says: the producer must return an input range (a Generator, a container), or take a Sink<T>& first
#include <vector>

#include "weir/weir.h"

weir::Task<> user() {
#ifdef MISUSE
  const auto read = weir::threaded_iterable([] { return 1; });
#else
  const auto read = weir::threaded_iterable([] { return std::vector{1}; });
#endif
  auto it = read();
  co_await it.next();
}
