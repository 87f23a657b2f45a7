// says: threaded: the function cannot be called with these arguments
#include <string>

#include "weir/weir.h"

weir::Task<> user() {
  const auto length = weir::threaded([](std::string text) { return text.size(); });
#ifdef MISUSE
  co_await length(42);
#else
  co_await length("42");
#endif
}
