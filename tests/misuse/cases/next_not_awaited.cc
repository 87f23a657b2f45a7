// says: co_await it.next()
#include "weir/weir.h"

weir::Task<> user(weir::IteratorWrapper<int>& it) {
#ifdef MISUSE
  it.next();
#else
  co_await it.next();
#endif
  co_return;
}
