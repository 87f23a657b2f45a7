// BoundedRing through every interleaving of small scenarios: no wake-up, no item, no end and no error is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "weir/bridge/bounded_ring.h"
#include "weir/tests/testing/explorer.h"
#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace {

namespace testing = weir::testing;

using testing::ExplorerResult;
using testing::ExplorerThreads;
using testing::Scenario;
using testing::expect_proven;
using testing::explore;
using testing::require;

using Item = testing::Tracked<>;

// Ring and reader of one run. The loop that the reader stands for sleeps in `woken`.
template <class Threads>
struct Stream final : RingReader {
  explicit Stream(const BoundedRingOptions& options) : ring(options, *this) {}

  void notify() noexcept override {
    node.value();
    ++notifications;
    woken.set();
  }

  // As a loop does it; false: the end.
  bool next(int& item) {
    for (;;) {
      std::optional<Item> got;
      switch (ring.get(got)) {
        case RingGet::kItem:
          item = got->value();
          return true;
        case RingGet::kEnd:
          return false;
        case RingGet::kEmpty:
          node.value();
          if (!ring.wait()) continue;
          ++waits;
          woken.wait();
          node.value();
      }
    }
  }

  BoundedRing<Item, Threads> ring;
  Item node{0};  // what notify() uses: the producer's from wait() on, and the reader's again when it is woken
  testing::ExploredEvent woken;
  testing::ExploredEvent producer_done;
  testing::ExploredEvent taken;
  int notifications = 0;
  int waits = 0;
  std::exception_ptr error = std::make_exception_ptr(1);
};

// A producer of `items` items and an error; a reader who takes them all.
template <class Threads>
ExplorerResult explore_stream(const testing::ExplorerLimits& limits, BoundedRingOptions options, int items) {
  return explore(limits, [=] {
    auto stream = std::make_shared<Stream<Threads>>(options);
    auto produce = [stream, items] {
      for (int i = 0; i < items; ++i) require(stream->ring.put(Item{i}), "put refused");
      stream->ring.finish(stream->error);
    };
    auto consume = [stream, items] {
      int item = 0;
      for (int i = 0; i < items; ++i) {
        require(stream->next(item), "an item is lost");
        require(item == i, "items out of order");
      }
      require(!stream->next(item), "an item too many");
      require(stream->ring.take_error() == stream->error, "the error is lost");
    };
    return Scenario{{produce, consume}, [stream] {
                      require(stream->notifications == stream->waits, "a wait is answered once");
                    }};
  });
}

TEST(BoundedRingExplorer, ItemsTheEndAndTheErrorArrive) {
  for (size_t max_size : {1, 2, 0}) {
    for (uint32_t light_after : {1, 2, 100}) {
      SCOPED_TRACE(::testing::Message() << "max_size " << max_size << ", light after " << light_after);
      expect_proven(explore_stream<ExplorerThreads>(
          {.preemptions = 2, .stale_reads = 1},
          {.max_size = max_size, .items_per_block = 1, .light_after = light_after}, 3));
    }
  }
}

TEST(BoundedRingExplorer, TheLastItemBeforeTheEndIsNotLost) {
  expect_proven(explore_stream<ExplorerThreads>({.preemptions = 4, .stale_reads = 2},
                                                {.max_size = 1, .light_after = 1}, 1));
  expect_proven(explore_stream<ExplorerThreads>({.preemptions = 4, .stale_reads = 2}, {.light_after = 1}, 1));
  expect_proven(explore_stream<ExplorerThreads>({.preemptions = 5, .stale_reads = 2}, {.light_after = 1}, 0));
}

// The producer puts two items, and nothing more until the reader has them.
template <class Threads>
ExplorerResult explore_pause(uint32_t light_after) {
  return explore({.preemptions = 3, .stale_reads = 2}, [light_after] {
    auto stream = std::make_shared<Stream<Threads>>(BoundedRingOptions{.light_after = light_after});
    auto produce = [stream] {
      stream->ring.put(Item{0});
      stream->ring.put(Item{1});
      stream->taken.wait();
      stream->ring.finish();
    };
    auto consume = [stream] {
      int item = 0;
      for (int i = 0; i < 2; ++i) require(stream->next(item) && item == i, "the items");
      stream->taken.set();
      require(!stream->next(item), "the end");
    };
    return Scenario{{produce, consume}, nullptr};
  });
}

TEST(BoundedRingExplorer, AProducerThatPausesLeavesNoReaderAsleep) {
  for (uint32_t light_after : {1, 2, 100}) expect_proven(explore_pause<ExplorerThreads>(light_after));
}

struct WithoutHeavyFence : ExplorerThreads {
  static void heavy_fence() {}
};

TEST(BoundedRingExplorer, FindsTheLostWakeUpOfALightProducerWithoutTheHeavyFence) {
  const ExplorerResult result = explore_pause<WithoutHeavyFence>(1);
  EXPECT_NE(result.failure.find("hang"), std::string::npos);
}

struct WithoutWake : ExplorerThreads {
  static void wake(const Atomic<uint32_t>&, int) {}
};

TEST(BoundedRingExplorer, FindsAProducerThatNobodyWakes) {
  const ExplorerResult result = explore_stream<WithoutWake>({}, {.max_size = 1}, 3);
  EXPECT_NE(result.failure.find("hang"), std::string::npos);
}

// close() on a third thread, while the producer puts and the reader waits.
ExplorerResult explore_close(size_t max_size) {
  return explore({.preemptions = 2, .stale_reads = 1}, [max_size] {
    auto stream = std::make_shared<Stream<ExplorerThreads>>(BoundedRingOptions{.max_size = max_size, .light_after = 1});
    auto produce = [stream] {
      while (stream->ring.put(Item{1})) {
      }
      stream->ring.finish();
    };
    auto consume = [stream] {
      int item = 0;
      if (!stream->next(item)) return;
      stream->producer_done.wait();  // takes no more: only close() can end the producer
    };
    auto close = [stream] {
      stream->ring.close();
      stream->ring.close();
    };
    return Scenario{{[stream, produce] {
                       produce();
                       stream->producer_done.set();
                     },
                     consume, close},
                    nullptr};
  });
}

TEST(BoundedRingExplorer, CloseEndsEverything) {
  for (size_t max_size : {1, 2}) expect_proven(explore_close(max_size));
}

// The same, but the reader goes on to the end: what was put before, and how the producer ended, is there. `batches`: it takes
// what there is at once.
ExplorerResult explore_close_and_drain(size_t max_size, bool batches) {
  return explore({.preemptions = 2, .stale_reads = 1}, [max_size, batches] {
    auto stream = std::make_shared<Stream<ExplorerThreads>>(
        BoundedRingOptions{.max_size = max_size, .items_per_block = 2, .light_after = 1});
    auto accepted = std::make_shared<int>(0);
    auto produce = [stream, accepted] {
      while (*accepted < 3 && stream->ring.put(Item{*accepted})) ++*accepted;
      stream->ring.finish(stream->error);
    };
    auto consume = [stream, accepted, batches] {
      std::vector<int> items;
      for (int item = 0; stream->next(item);) {
        items.push_back(item);
        std::vector<Item> more;
        if (batches) stream->ring.get_some(more, 2);
        for (const Item& one : more) items.push_back(one.value());
      }
      const int count = static_cast<int>(items.size());
      require(count == *accepted || count == *accepted + 1, "an item is lost");  // that of a refused put may be there
      for (int i = 0; i < count; ++i) require(items[static_cast<size_t>(i)] == i, "items out of order");
      require(stream->ring.take_error() == stream->error, "the error is lost");
    };
    return Scenario{{produce, consume, [stream] { stream->ring.close(); }}, nullptr};
  });
}

TEST(BoundedRingExplorer, ACloseLosesNeitherWhatWasPutNorTheError) {
  for (size_t max_size : {1, 2}) expect_proven(explore_close_and_drain(max_size, false));
  expect_proven(explore_close_and_drain(2, true));
}

// A producer that does not sleep: it tries again when the reader has taken something.
ExplorerResult explore_try_put() {
  return explore({.preemptions = 3, .stale_reads = 1}, [] {
    auto stream = std::make_shared<Stream<ExplorerThreads>>(BoundedRingOptions{.max_size = 1, .light_after = 1});
    auto produce = [stream] {
      for (int i = 0; i < 2; ++i) {
        Item item(i);
        while (!stream->ring.try_put(item)) stream->taken.wait();
      }
      stream->ring.finish();
    };
    auto consume = [stream] {
      int item = 0;
      for (int i = 0; i < 2; ++i) {
        require(stream->next(item) && item == i, "the items");
        stream->taken.set();
      }
      require(!stream->next(item), "the end");
    };
    return Scenario{{produce, consume}, nullptr};
  });
}

TEST(BoundedRingExplorer, WhoOnlyTriesIsReadToo) { expect_proven(explore_try_put()); }

// The reader takes one item and then does something else: the loop tells the ring before it sleeps.
ExplorerResult explore_idle_loop() {
  return explore({.preemptions = 3, .stale_reads = 1}, [] {
    auto stream = std::make_shared<Stream<ExplorerThreads>>(BoundedRingOptions{.max_size = 8, .light_after = 2});
    for (int i = 0; i < 7; ++i) stream->ring.put(Item{i});
    auto produce = [stream] {
      for (int i = 7; i < 9; ++i) stream->ring.put(Item{i});
      stream->producer_done.set();
    };
    auto consume = [stream] {
      int item = 0;
      require(stream->next(item) && item == 0, "the first item");
      stream->ring.wake_producer_if_room();
      stream->producer_done.wait();
    };
    return Scenario{{produce, consume}, nullptr};
  });
}

TEST(BoundedRingExplorer, AnIdleLoopLetsTheProducerGoOn) { expect_proven(explore_idle_loop()); }

// Half of the limit is free: the producer goes on though the loop never idles.
ExplorerResult explore_half_free() {
  return explore({.preemptions = 3, .stale_reads = 1}, [] {
    auto stream = std::make_shared<Stream<ExplorerThreads>>(BoundedRingOptions{.max_size = 4, .light_after = 2});
    for (int i = 0; i < 3; ++i) stream->ring.put(Item{i});
    auto produce = [stream] {
      for (int i = 3; i < 5; ++i) stream->ring.put(Item{i});
      stream->producer_done.set();
    };
    auto consume = [stream] {
      int item = 0;
      for (int i = 0; i < 2; ++i) require(stream->next(item) && item == i, "the items");
      stream->producer_done.wait();
    };
    return Scenario{{produce, consume}, nullptr};
  });
}

TEST(BoundedRingExplorer, HalfFreeWakesTheProducer) { expect_proven(explore_half_free()); }

ExplorerResult explore_withdrawn_wait() {
  return explore({.preemptions = 3, .stale_reads = 1}, [] {
    auto stream = std::make_shared<Stream<ExplorerThreads>>(BoundedRingOptions{.light_after = 1});
    auto produce = [stream] {
      stream->ring.put(Item{0});
      stream->ring.put(Item{1});
      stream->ring.finish();
    };
    auto consume = [stream] {
      for (int i = 0; i < 2; ++i) {
        if (stream->ring.wait() && !stream->ring.cancel_wait()) {
          ++stream->waits;
          stream->woken.wait();
        }
      }
      int item = 0;
      int items = 0;
      while (stream->next(item)) require(item == items++, "in order");
      require(items == 2, "an item is lost");
    };
    return Scenario{{produce, consume},
                    [stream] { require(stream->notifications == stream->waits, "a wait is answered once"); }};
  });
}

TEST(BoundedRingExplorer, AWithdrawnWaitIsAnsweredOnceOrNotAtAll) { expect_proven(explore_withdrawn_wait()); }

testing::Explorations all() {
  return {
      [] { return explore_stream<ExplorerThreads>({.preemptions = 2}, {.max_size = 1, .items_per_block = 1, .light_after = 1}, 3); },
      [] { return explore_stream<ExplorerThreads>({.preemptions = 2}, {.max_size = 2, .items_per_block = 1, .light_after = 100}, 4); },
      [] { return explore_stream<ExplorerThreads>({.preemptions = 4, .stale_reads = 2}, {.light_after = 1}, 1); },
      [] { return explore_stream<ExplorerThreads>({.preemptions = 2}, {.items_per_block = 1, .light_after = 100}, 4); },
      [] { return explore_pause<ExplorerThreads>(1); },
      [] { return explore_pause<ExplorerThreads>(100); },
      [] { return explore_close(1); },
      [] { return explore_close_and_drain(2, true); },
      explore_try_put,
      [] { return explore_idle_loop(); },
      [] { return explore_half_free(); },
      [] { return explore_withdrawn_wait(); },
  };
}

TEST(BoundedRingExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(BoundedRingExplorer, EveryOrderAndWakeUpIsNeeded) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const testing::MutationReport report = testing::mutate(all(), {.comparisons = false});
  EXPECT_GT(report.mutants, 15);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  // What decides is an exchange, or the futex, or the next look. publish_taken() learns of fewer items than there are, and
  // then wakes a little earlier.
  EXPECT_THAT(report.hints,
              ::testing::ElementsAre("closed: load tells nothing new", "give_back: load tells nothing new",
                                     "publish_taken: load tells nothing new", "sleep_while_full: load tells nothing new",
                                     "wait_for_room: load tells nothing new"));
  // A flag is set; a wake-up is for nobody; and of the close the producer reads before or after it, too.
  EXPECT_THAT(report.unheard,
              ::testing::ElementsAre("publish_item: exchange tells nothing new", "publish_taken: exchange tells nothing new",
                                     "wait_for_room: exchange tells nothing new", "wait_for_room: exchange tells nothing new"));
}

}  // namespace
}  // namespace weir::internal
