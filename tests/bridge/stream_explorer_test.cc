// A stream between its loop, its producer's thread and whoever closes it, through every interleaving of small scenarios: a
// close finds the producer not begun, putting, about to sleep, or asleep, and ends it; its frame is destroyed once; and
// what it threw is the reader's, or reported, once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <optional>

#include "weir/bridge/bounded_ring.h"
#include "weir/bridge/claim.h"
#include "weir/runtime/inbox.h"
#include "weir/tests/testing/explorer.h"
#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace explored {

namespace testing = weir::testing;
using testing::ExploredEvent;
using testing::ExplorerResult;
using testing::ExplorerThreads;
using testing::Scenario;
using testing::expect_proven;
using testing::explore;
using testing::require;

using Item = testing::Tracked<>;
using ExploredInbox = BasicInbox<ExplorerThreads::Atomic>;

// A stream as StreamStateBase and IteratorWrapper::Next drive it, its loop, and an executor of one thread.
class Stream final : public RingReader {
 public:
  Stream(size_t max_size, int item_count) : items(item_count), ring({.max_size = max_size, .light_after = 1}, *this) {}

  // ---- the loop
  void start() {
    frame = Item(1);
    claim.submit();
    retain();
    queue.set();
  }
  // The next item, or -1: the end, or closed.
  int next() {
    if (closed.load(std::memory_order_relaxed)) return -1;
    std::optional<Item> item;
    RingGet got = ring.get(item);
    if (got == RingGet::kEmpty) {
      waiting = ring.wait();
      while (waiting) turn();
      if (closed.load(std::memory_order_relaxed)) return -1;
      got = ring.get(item);
    }
    require(got != RingGet::kEmpty, "woken for nothing");
    if (got == RingGet::kItem) return item->value();
    closed.store(true, std::memory_order_relaxed);
    if (ring.take_error()) ++thrown_here;
    return -1;
  }
  void wait_for_end() {
    while (!ended) turn();
  }
  void turn() {
    if (inbox.maybe_filled()) return deliver(inbox.take());
    ring.wake_producer_if_room();
    if (inbox.prepare_sleep()) eventfd.wait();
  }
  static void deliver(InboxNode* list) {
    while (list != nullptr) {
      InboxNode& node = *list;
      list = ExploredInbox::next(node);
      node.deliver();
    }
  }
  void noticed() {
    notice_is_free.value();
    if (waiting) waiting = ring.wait();
  }
  void finished() {
    ended = true;
    if (closed.load(std::memory_order_relaxed)) report_failure();
    release();
  }

  // ---- any thread
  void close() {
    closed.store(true, std::memory_order_relaxed);
    ring.close();
    if (!claim.withdraw()) return;
    retain();
    end_production(nullptr);
  }
  void retain() { references.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    ++deleted;
    frame.value();
    if (ended) report_failure();
  }
  void report_failure() {
    if (ring.take_error()) ++reported;
  }

  // ---- the executor's thread
  void run() {
    queue.wait();
    if (!claim.take()) return release();
    std::exception_ptr failure;
    if (!closed.load(std::memory_order_relaxed)) failure = produce();
    end_production(failure);
  }
  // Whether all were put or not, it throws then.
  std::exception_ptr produce() {
    frame.value();
    ++failures;
    for (int i = 0; i < items && ring.put(Item(i)); ++i) {
    }
    return std::make_exception_ptr(1);
  }
  void notify() noexcept override {
    notice_is_free.value();
    push(notice);
  }
  // Who took it, or withdrew it.
  void end_production(std::exception_ptr failure) {
    if (frame.value() != 1) return require(false, "it is ended twice");
    frame = Item(0);
    ring.finish(failure);
    if (!push(end)) release();
  }
  bool push(InboxNode& node) {
    const auto pushed = inbox.push(node);
    if (pushed == ExploredInbox::Pushed::kOntoSleeper) eventfd.set();
    return pushed != ExploredInbox::Pushed::kRefused;
  }

  void check() const {
    require(deleted == 1, "let go of by all, once");
    require(thrown_here + reported == failures, "what the producer threw is lost");
  }

  template <void (Stream::*kDeliver)()>
  class Node final : public InboxNode {
   public:
    explicit Node(Stream& stream) : stream_(stream) {}
    void deliver() noexcept override { (stream_.*kDeliver)(); }

   private:
    Stream& stream_;
  };

  const int items;
  Claim<ExplorerThreads> claim;
  BoundedRing<Item, ExplorerThreads> ring;
  ExploredInbox inbox;
  ExploredEvent queue, eventfd;
  ExplorerThreads::Atomic<int> references{1};
  ExplorerThreads::Atomic<bool> closed{false};
  Node<&Stream::noticed> notice{*this};
  Node<&Stream::finished> end{*this};
  Item notice_is_free{0};  // the loop's, but for who owes the notice
  Item frame{0};           // what makes the items
  bool waiting = false;
  bool ended = false;
  int failures = 0, thrown_here = 0, reported = 0;
  int deleted = 0;
};

// Read to the end, or `taken` items and then closed. max_size 1 and 2 have the producer asleep in a full stream.
ExplorerResult explore_reader(const testing::ExplorerLimits& limits, size_t max_size, int items, int taken) {
  return explore(limits, [=] {
    auto stream = std::make_shared<Stream>(max_size, items);
    auto read = [stream, items, taken] {
      stream->start();
      for (int i = 0; i < taken && i < items; ++i) require(stream->next() == i, "an item is lost");
      if (taken > items) {
        require(stream->next() == -1, "the end");
        require(stream->thrown_here == 1, "what it threw comes after the last item");
      }
      stream->close();
      stream->wait_for_end();
      require(stream->frame.value() == 0, "the frame is gone at the end");
      stream->release();
    };
    return Scenario{{read, [stream] { stream->run(); }}, [stream] { stream->check(); }};
  });
}

TEST(StreamExplorer, TheLastItemAndWhatTheProducerThrewArrive) {
  for (const size_t max_size : {0, 1, 2}) {
    for (const int items : {0, 1, 2}) expect_proven(explore_reader({.preemptions = 2, .stale_reads = 1}, max_size, items, items + 1));
  }
}

TEST(StreamExplorer, ACloseEndsTheProducerWhereverItIs) {
  for (const size_t max_size : {0, 1, 2}) {
    for (const int taken : {0, 1, 2}) expect_proven(explore_reader({.preemptions = 2, .stale_reads = 1}, max_size, 3, taken));
  }
}

// Closed by another thread, while its loop reads it. The producer has one item more than fits.
ExplorerResult explore_closer(const testing::ExplorerLimits& limits) {
  return explore(limits, [] {
    auto stream = std::make_shared<Stream>(1, 2);
    auto shared = std::make_shared<ExploredEvent>();
    stream->retain();
    auto read = [stream, shared] {
      stream->start();
      shared->set();
      (void)stream->next();
      stream->wait_for_end();
      stream->release();
    };
    auto close = [stream, shared] {
      shared->wait();
      stream->close();
      stream->release();
    };
    return Scenario{{read, [stream] { stream->run(); }, close}, [stream] { stream->check(); }};
  });
}

TEST(StreamExplorer, ACloseFromElsewhereEndsItToo) { expect_proven(explore_closer({.preemptions = 2, .stale_reads = 0})); }

// The loop goes while the stream is dropped elsewhere: nobody is left to be told of a failure.
ExplorerResult explore_loop_goes(const testing::ExplorerLimits& limits) {
  return explore(limits, [] {
    auto stream = std::make_shared<Stream>(1, 2);
    auto shared = std::make_shared<ExploredEvent>();
    auto loop = [stream, shared] {
      stream->start();
      stream->retain();  // the loop's list of what is bound to it
      shared->set();
      stream->close();
      Stream::deliver(stream->inbox.close());
      stream->release();
    };
    auto drop = [stream, shared] {
      shared->wait();
      stream->close();
      stream->release();
    };
    return Scenario{{loop, [stream] { stream->run(); }, drop}, [stream] { require(stream->deleted == 1, "let go of by all, once"); }};
  });
}

TEST(StreamExplorer, ALoopThatEndsLeavesNothingBehind) { expect_proven(explore_loop_goes({.preemptions = 2, .stale_reads = 0})); }

testing::Explorations all() {
  return {
      [] { return explore_reader({.preemptions = 1}, 1, 2, 3); },
      [] { return explore_reader({.preemptions = 1}, 1, 3, 1); },
      [] { return explore_closer({.preemptions = 1}); },
      [] { return explore_loop_goes({.preemptions = 1}); },
  };
}

TEST(StreamExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(StreamExplorer, TheClaimsComparisonIsNeeded) {
  const testing::MutationReport report = testing::mutate(all(), {.only_in = "claim.h"});
  EXPECT_GE(report.mutants, 1);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
}

}  // namespace explored
}  // namespace weir::internal
