// says: threaded: the function cannot be called with these arguments
#include <string>

#include "weir/weir.h"

std::size_t user() {
  const auto length = weir::threaded([](std::string text) { return text.size(); });
#ifdef MISUSE
  return length.sync_call();
#else
  return length.sync_call("42");
#endif
}
