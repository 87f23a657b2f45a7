// 000, "aiomisc.IteratorWrapper" and "aiomisc.IteratorWrapperSeparate": a generator as it is, where it runs chosen here.
#include "weir/tools/examples/example.h"

#include "weir/weir.h"

namespace {

using examples::print;

weir::Generator<int> my_generator() {
  for (int i = 0; i < 100; ++i) co_yield i;
}

namespace wrapper {  // 000-9

weir::Task<> print_all(weir::IteratorWrapper<int>& items) {
  while (auto item = co_await items.next()) print(*item);
}

weir::Task<> main() {
  // On the loop's own pool.
  weir::IteratorWrapper on_default(my_generator, {.max_size = 10});
  co_await weir::with(std::move(on_default), print_all);

  // On another pool.
  weir::ThreadPool pool({.size = 2});
  weir::IteratorWrapper on_pool(my_generator, {.max_size = 10, .executor = &pool});
  co_await weir::with(std::move(on_pool), print_all);
  pool.shutdown();
}

}  // namespace wrapper

namespace separate {  // 000-10

weir::Generator<std::string> blocking_generator() {
  for (;;) co_yield "data";
}

weir::Task<> take_hundred(weir::IteratorWrapper<std::string>& items) {
  int count = 0;
  while (co_await items.next()) {
    if (++count >= 100) break;
  }
  print(count, "items");
}

weir::Task<> main() {
  weir::IteratorWrapperSeparate items(blocking_generator, {.max_size = 5});
  co_await weir::with(std::move(items), take_hundred);
}

}  // namespace separate

}  // namespace

examples::Section examples::iterator_wrappers_000() {
  static constexpr Example kAll[] = {
      {"000-9", "a generator on the default pool, then on another", run<wrapper::main>},
      {"000-10", "a hundred items of an endless generator, on its own thread", run<separate::main>},
  };
  return kAll;
}
