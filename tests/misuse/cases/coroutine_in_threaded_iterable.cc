// says: threaded_iterable: this is a coroutine of the loop; threads run blocking producers
#include "weir/weir.h"

#ifdef MISUSE
const auto lines = weir::threaded_iterable([](int n) -> weir::Task<int> { co_return n; });
#else
const auto lines = weir::threaded_iterable([](int n) -> weir::Generator<int> { co_yield n; });
#endif
