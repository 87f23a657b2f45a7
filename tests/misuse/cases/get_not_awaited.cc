// says: a get() or next() takes nothing until it is awaited: co_await it, or spawn() it
#include "weir/weir.h"

weir::Task<> user(weir::FromThreadChannel<int>& channel) {
#ifdef MISUSE
  channel.get();
#else
  co_await channel.get();
#endif
  co_return;
}
