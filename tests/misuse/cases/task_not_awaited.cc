// says: a Task does nothing until it is awaited: co_await it, or spawn() it
#include "weir/weir.h"

weir::Task<int> fetch() { co_return 1; }

weir::Task<> user() {
#ifdef MISUSE
  fetch();
#else
  co_await fetch();
#endif
  co_return;
}
