// says: threaded: this is a coroutine; co_await it on the loop, threads are for blocking functions
#include "weir/weir.h"

class Store {
 public:
  weir::Task<int> compact() { co_return 1; }
};

weir::Task<> user(Store& store) {
#ifdef MISUSE
  (void)weir::threaded_separate(&Store::compact);
#endif
  co_await store.compact();
}
