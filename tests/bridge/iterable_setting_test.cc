// $THREADED_ITERABLE_DEFAULT_MAX_SIZE, in processes of their own: it is read once.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>

#include "weir/bridge/threaded.h"
#include "weir/tests/testing/child_process.h"
#include "weir/weir.h"

namespace weir {
namespace {

// How far the producer of threaded(generator) goes while nobody reads.
int items_ahead(const char* setting) {
  ::alarm(60);
  if (setting == nullptr) {
    ::unsetenv("THREADED_ITERABLE_DEFAULT_MAX_SIZE");
  } else {
    ::setenv("THREADED_ITERABLE_DEFAULT_MAX_SIZE", setting, 1);
  }
  return run([]() -> Task<int> {
    std::atomic<int> made{0};
    auto it = threaded([&made]() -> Generator<int> {
      for (int i = 0; i < 5000; ++i) {
        ++made;
        co_yield i;
      }
    })();
    (void)co_await it.next();
    while (it.stats().producer_sleeps == 0 && made < 5000) co_await yield();
    const int ahead = static_cast<int>(it.stats().put - it.stats().got);
    co_await it.close();
    co_return ahead;
  }());
}
int says(bool holds) { return holds ? 0 : 1; }

// The one item that was taken may not have made room yet.
bool is_limit(int ahead, int limit) { return ahead == limit || ahead == limit - 1; }

TEST(Iterable, T14_TheDefaultOfThreadedGenerators) {
  EXPECT_EQ(testing::exit_status_of([] { return says(is_limit(items_ahead(nullptr), 1024)); }), 0);
  EXPECT_EQ(testing::exit_status_of([] { return says(is_limit(items_ahead("512"), 512)); }), 0);
  for (const char* unbounded : {"0", "-3"}) {
    EXPECT_EQ(testing::exit_status_of([unbounded] { return says(items_ahead(unbounded) > 1025); }), 0) << unbounded;
  }
  EXPECT_EQ(testing::exit_status_of([] { return says(is_limit(items_ahead("1"), 1)); }), 0);
  EXPECT_EQ(testing::exit_status_of([] { return says(is_limit(items_ahead(""), 1024)); }), 0);
  EXPECT_EQ(testing::exit_status_of([] { return says(is_limit(items_ahead("many"), 1024)); }), 0);  // and a line on stderr
}

}  // namespace
}  // namespace weir
