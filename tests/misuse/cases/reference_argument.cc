// says: which are copied: std::ref for a reference
#include <functional>

#include "weir/weir.h"

weir::Task<> user() {
  const auto increment = weir::threaded([](int& n) { ++n; });
  int n = 0;
#ifdef MISUSE
  co_await increment(n);
#else
  co_await increment(std::ref(n));
#endif
}
