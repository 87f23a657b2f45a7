// says: a stream is no range: while (auto item = co_await it.next()) reads it on the loop
#include "weir/weir.h"

weir::Generator<int> numbers() { co_yield 1; }

weir::Task<int> user() {
  const auto streams = weir::threaded_iterable(numbers);
  int sum = 0;
#ifdef MISUSE
  for (const int n : streams()) sum += n;
#else
  auto it = streams();
  while (auto n = co_await it.next()) sum += *n;
#endif
  co_return sum;
}
