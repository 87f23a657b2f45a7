// says: a channel is no range: while (auto item = co_await channel.next()) reads it on the loop
#include "weir/weir.h"

weir::Task<int> user(weir::FromThreadChannel<int>& channel) {
  int sum = 0;
#ifdef MISUSE
  for (auto n : channel) sum += n;
#else
  while (auto n = co_await channel.next()) sum += *n;
#endif
  co_return sum;
}
