// threaded_separate and threaded_iterable_separate: a thread of its own for each call, or each stream.
//
//   auto tail = weir::threaded_separate(follow, {.name = "tail"});        // threads "sep-tail"
//   co_await tail(path);
//
// For work that is long, or blocks for ever, and so must not take a worker of the pool away. All else is as threaded.h
// and iterable.h have it: results, exceptions, context variables, cancelling, stop_token, attached(), bind(). A function
// that returns a Generator becomes a stream on a thread of its own.
//
// The thread starts in the call. detach (the default): neither the end of its loop nor that of the process waits for a
// call; when its loop is gone by the time it ends, its result is dropped. Streams are closed, and waited for, at the end of
// their loop. There is no limit on the number of threads. Cost: a thread's start.
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weir/bridge/iterable.h"
#include "weir/bridge/separate_threads.h"
#include "weir/bridge/threaded.h"

namespace weir {

struct SeparateOptions {
  std::string_view name = "thread";  // of the threads, after "sep-"; 15 characters in all
  bool detach = true;                // false: the ends of the loop and of the process wait for them
};

struct SeparateIterableOptions {
  std::size_t max_size = 0;          // items that may wait; 0: no limit
  std::string_view name = "stream";
  bool detach = true;
};

template <class Fn>
auto threaded_separate(Fn&& fn, SeparateOptions options = {}) {
  using Kept = internal::kept_t<Fn>;
  return Threaded<Kept>(Kept(std::forward<Fn>(fn)), &internal::separate_threads(options.name, options.detach));
}

template <class Fn>
auto threaded_iterable_separate(Fn&& fn, SeparateIterableOptions options = {}) {
  return threaded_iterable(std::forward<Fn>(fn),
                           {.max_size = options.max_size, .executor = &internal::separate_threads(options.name, options.detach)});
}

// IteratorWrapperSeparate it([] { return rows(); }, {.max_size = 5});
template <class T>
class IteratorWrapperSeparate : public IteratorWrapper<T> {
 public:
  template <class Fn>
    requires(!std::is_same_v<std::decay_t<Fn>, IteratorWrapperSeparate>)
  explicit IteratorWrapperSeparate(Fn&& fn, SeparateIterableOptions options = {})
      : IteratorWrapper<T>(std::forward<Fn>(fn), IterableOptions{.max_size = options.max_size,
                                                                .executor = &internal::separate_threads(options.name, options.detach)}) {}
};

template <class Fn>
IteratorWrapperSeparate(Fn&&, SeparateIterableOptions = {}) -> IteratorWrapperSeparate<internal::item_t<std::decay_t<Fn>>>;

}  // namespace weir
