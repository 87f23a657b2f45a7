// says: items go from thread to thread, so they must be movable or copyable; yield a std::unique_ptr
#include <memory>

#include "weir/weir.h"

struct Pinned {
  Pinned() = default;
  Pinned(const Pinned&) = delete;
};

#ifdef MISUSE
weir::Generator<Pinned> rows() { co_yield Pinned(); }
#else
weir::Generator<std::unique_ptr<Pinned>> rows() { co_yield std::make_unique<Pinned>(); }
#endif

weir::Task<> user() {
  auto it = weir::threaded_iterable(rows)();
  while (co_await it.next()) {
  }
}
