// says: threaded: this is a coroutine; co_await it on the loop, threads are for blocking functions
#include "weir/weir.h"

weir::Task<int> fetch() { co_return 1; }

weir::Task<> user() {
#ifdef MISUSE
  (void)weir::threaded(fetch);
#endif
  co_await fetch();
}
