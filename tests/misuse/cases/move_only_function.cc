// says: threaded: each call has a copy of the function
#include <memory>

#include "weir/weir.h"

weir::Task<> user() {
#ifdef MISUSE
  const auto f = weir::threaded([owned = std::make_unique<int>(1)] { return *owned; });
#else
  const auto f = weir::threaded([owned = std::make_shared<int>(1)] { return *owned; });
#endif
  co_await f();
}
