#include "weir/bridge/iterable.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/numbers.h"

namespace weir::internal {

// Read once: $THREADED_ITERABLE_DEFAULT_MAX_SIZE, where 0 and less mean no limit.
std::size_t default_generator_max_size() {
  static const std::size_t size = [] {
    constexpr std::size_t kDefault = 1024;
    const char* text = std::getenv("THREADED_ITERABLE_DEFAULT_MAX_SIZE");
    if (text == nullptr || *text == '\0') return kDefault;
    int64_t value = 0;
    if (absl::SimpleAtoi(text, &value)) return value <= 0 ? std::size_t{0} : static_cast<std::size_t>(value);
    std::fprintf(stderr, "weir: THREADED_ITERABLE_DEFAULT_MAX_SIZE=%s is no number; %zu is used\n", text, kDefault);
    return kDefault;
  }();
  return size;
}

void throw_no_stream() { throw std::logic_error("weir: this IteratorWrapper was moved from"); }

void throw_second_reader() {
  throw std::logic_error("weir: a next() of this stream waits already; a stream has one consumer at a time");
}

}  // namespace weir::internal
