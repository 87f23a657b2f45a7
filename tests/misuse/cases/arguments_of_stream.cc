// says: threaded_iterable: the producer cannot be called with these arguments
#include <string>

#include "weir/weir.h"

weir::Generator<std::string> lines(std::string path) { co_yield path; }

weir::Task<> user() {
  const auto read = weir::threaded_iterable(lines);
#ifdef MISUSE
  auto it = read(1, 2);
#else
  auto it = read("/etc/hosts");
#endif
  co_await it.next();
}
