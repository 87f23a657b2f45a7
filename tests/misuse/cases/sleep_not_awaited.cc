// says: a sleep does nothing until it is awaited
#include "weir/weir.h"

weir::Task<> user() {
#ifdef MISUSE
  weir::sleep_for(absl::Seconds(1));
#else
  co_await weir::sleep_for(absl::Seconds(1));
#endif
  co_return;
}
