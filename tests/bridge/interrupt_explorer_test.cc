// The word between a producer and who closes its stream, through every interleaving of small scenarios: a wait that never
// ends by itself is cancelled, by its own close or by the one before it, and each reference is given back once.
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "weir/bridge/interrupt.h"
#include "weir/tests/testing/explorer.h"

namespace weir::internal {
namespace {

namespace testing = weir::testing;
using testing::ExploredEvent;
using testing::ExplorerResult;
using testing::ExplorerThreads;
using testing::Scenario;
using testing::explore;
using testing::require;

class Wait {
 public:
  void retain() { ++references; }
  void release() { require(--references >= 0, "a reference too few"); }
  void cancel() {
    was_cancelled = true;
    cancelled.set();
    release();
  }

  int references = 1;
  bool was_cancelled = false;
  ExploredEvent cancelled;
};

struct Stream {
  InterruptWord<Wait, ExplorerThreads> word;
  Wait first, second, third;

  void close() {
    if (Wait* const wait = word.ask()) wait->cancel();
  }
  // Waits for something that ends by itself. False: refused.
  bool wait_for_a_moment(Wait& wait) {
    const bool begun = word.begin(wait);
    if (begun) word.end(wait, false);
    wait.release();
    return begun;
  }
  // Waits for something that never does. False: refused.
  bool wait_for_ever(Wait& wait) {
    const bool begun = word.begin(wait);
    if (begun) {
      wait.cancelled.wait();
      word.end(wait, true);
    }
    wait.release();
    return begun;
  }
  void check() const {
    for (const Wait* wait : {&first, &second, &third}) require(wait->references <= 0 || wait->references == 1, "references");
    require(first.references == 0, "references of the first");
  }
};

ExplorerResult explore_stream(const std::function<void(Stream&)>& producer, int closers) {
  return explore({.preemptions = 3}, [&] {
    auto stream = std::make_shared<Stream>();
    Scenario scenario{{[stream, producer] { producer(*stream); }}, [stream] { stream->check(); }};
    for (int i = 0; i < closers; ++i) scenario.threads.push_back([stream] { stream->close(); });
    return scenario;
  });
}

TEST(InterruptExplorer, AWaitThatNeverEndsIsCancelledOrRefused) {
  const auto result = explore_stream([](Stream& stream) { (void)stream.wait_for_ever(stream.first); }, 2);
  EXPECT_EQ(result.failure, "");
  EXPECT_TRUE(result.complete);
}

// The close meets a wait that ends all the same: the next one must not stay behind.
TEST(InterruptExplorer, TheCloseIsNotForgottenWithTheWaitThatItMet) {
  const auto result = explore_stream(
      [](Stream& stream) {
        if (stream.wait_for_a_moment(stream.first)) (void)stream.wait_for_ever(stream.second);
        require(stream.second.references == 1 || stream.second.references == 0, "references of the second");
      },
      1);
  EXPECT_EQ(result.failure, "");
  EXPECT_TRUE(result.complete);
}

// Who has learned of the close may wait as it likes.
TEST(InterruptExplorer, AfterThatTheProducerMayWaitInItsCleanup) {
  const auto result = explore_stream(
      [](Stream& stream) {
        (void)stream.wait_for_ever(stream.first);
        require(stream.wait_for_a_moment(stream.second), "refused in the cleanup");
        require(!stream.second.was_cancelled, "cancelled in the cleanup");
      },
      2);
  EXPECT_EQ(result.failure, "");
  EXPECT_TRUE(result.complete);
}

TEST(InterruptExplorer, APutThatWasRefusedTeachesToo) {
  const auto result = explore_stream(
      [](Stream& stream) {
        (void)stream.wait_for_a_moment(stream.first);
        stream.word.learn();
        require(stream.wait_for_a_moment(stream.second), "refused in the cleanup");
        require(!stream.second.was_cancelled, "cancelled in the cleanup");
      },
      2);
  EXPECT_EQ(result.failure, "");
  EXPECT_TRUE(result.complete);
}

}  // namespace
}  // namespace weir::internal
