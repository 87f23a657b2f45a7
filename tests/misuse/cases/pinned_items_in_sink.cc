// says: items go from thread to thread, so they must be movable or copyable; yield a std::unique_ptr
#include <memory>

#include "weir/weir.h"

struct Pinned {
  Pinned() = default;
  Pinned(const Pinned&) = delete;
};

#ifdef MISUSE
void rows(weir::Sink<Pinned>&) {}
#else
void rows(weir::Sink<std::unique_ptr<Pinned>>& sink) { sink.put(std::make_unique<Pinned>()); }
#endif

weir::Task<> user() {
  weir::IteratorWrapper it(rows);
  while (co_await it.next()) {
  }
}
