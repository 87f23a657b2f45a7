// says: co_await the call for its result, or detach() it
#include "weir/weir.h"

weir::Task<> user() {
  const auto digest = weir::threaded([](int n) { return n; });
#ifdef MISUSE
  digest(1);
#else
  digest(1).detach();
#endif
  co_return;
}
