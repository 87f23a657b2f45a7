// The word between a producer and who closes its stream, through every interleaving of small scenarios: a wait that never
// ends by itself is cancelled, by its own close or by the one before it, and each reference is given back once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "weir/bridge/interrupt.h"
#include "weir/tests/testing/explorer.h"
#include "weir/tests/testing/storm.h"

namespace weir::internal {
namespace {

namespace testing = weir::testing;
using testing::ExploredEvent;
using testing::ExplorerResult;
using testing::ExplorerThreads;
using testing::Scenario;
using testing::expect_proven;
using testing::explore;
using testing::require;

class Wait {
 public:
  void retain() { ++references; }
  void release() { require(--references >= 0, "a reference too few"); }
  void cancel() {
    asked.value();
    was_cancelled = true;
    cancelled.set();
    release();
  }

  int references = 1;
  bool was_cancelled = false;
  testing::Tracked<> asked{0};  // the producer's, until somebody asks
  ExploredEvent cancelled;
};

struct Stream {
  InterruptWord<Wait, ExplorerThreads> word;
  Wait first, second;
  testing::Tracked<> before_close{0};  // the closer's, until the producer is refused

  void close() {
    if (Wait* const wait = word.ask()) wait->cancel();
  }
  // Waits for something that ends by itself. False: refused.
  bool wait_for_a_moment(Wait& wait) {
    wait.asked = testing::Tracked<>(1);
    const bool begun = word.begin(wait);
    if (begun) word.end(wait, false);
    wait.release();
    return begun;
  }
  // Waits for something that never does. False: refused.
  bool wait_for_ever(Wait& wait) {
    wait.asked = testing::Tracked<>(1);
    const bool begun = word.begin(wait);
    if (begun) {
      wait.cancelled.wait();
      word.end(wait, true);
    }
    wait.release();
    return begun;
  }
  void check() const {
    for (const Wait* wait : {&first, &second}) require(wait->references == 0 || wait->references == 1, "references");
    require(first.references == 0, "references of the first");
  }
};

ExplorerResult explore_stream(const std::function<void(Stream&)>& producer, int closers) {
  return explore({.preemptions = 3}, [&] {
    auto stream = std::make_shared<Stream>();
    Scenario scenario{{[stream, producer] { producer(*stream); }}, [stream] { stream->check(); }};
    for (int i = 0; i < closers; ++i) {
      scenario.threads.push_back([stream, closers] {
        if (closers == 1) stream->before_close = testing::Tracked<>(1);
        stream->close();
      });
    }
    return scenario;
  });
}

ExplorerResult explore_wait_for_ever() {
  return explore_stream([](Stream& stream) { (void)stream.wait_for_ever(stream.first); }, 2);
}

TEST(InterruptExplorer, AWaitThatNeverEndsIsCancelledOrRefused) { expect_proven(explore_wait_for_ever()); }

// The close meets a wait that ends all the same: the next one must not stay behind.
ExplorerResult explore_two_waits() {
  return explore_stream(
      [](Stream& stream) {
        if (!stream.wait_for_a_moment(stream.first) || !stream.wait_for_ever(stream.second)) stream.before_close.value();
      },
      1);
}

TEST(InterruptExplorer, TheCloseIsNotForgottenWithTheWaitThatItMet) { expect_proven(explore_two_waits()); }

// Who has learned of the close may wait as it likes.
ExplorerResult explore_cleanup() {
  return explore_stream(
      [](Stream& stream) {
        (void)stream.wait_for_ever(stream.first);
        require(stream.wait_for_a_moment(stream.second), "refused in the cleanup");
        require(!stream.second.was_cancelled, "cancelled in the cleanup");
      },
      2);
}

TEST(InterruptExplorer, AfterThatTheProducerMayWaitInItsCleanup) { expect_proven(explore_cleanup()); }

ExplorerResult explore_refused_put() {
  return explore_stream(
      [](Stream& stream) {
        (void)stream.wait_for_a_moment(stream.first);
        stream.word.learn();
        require(stream.wait_for_a_moment(stream.second), "refused in the cleanup");
        require(!stream.second.was_cancelled, "cancelled in the cleanup");
      },
      2);
}

TEST(InterruptExplorer, APutThatWasRefusedTeachesToo) { expect_proven(explore_refused_put()); }

testing::Explorations all() {
  return {explore_wait_for_ever, explore_two_waits, explore_cleanup, explore_refused_put};
}

TEST(InterruptExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(InterruptExplorer, EveryOrderIsNeeded) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const auto report = testing::mutate(all());
  EXPECT_GE(report.mutants, 5);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  EXPECT_THAT(report.unheard, ::testing::ElementsAre());
  // A guess: the exchange checks it.
  EXPECT_THAT(report.hints, ::testing::ElementsAre("ask: load tells nothing new"));
}

}  // namespace
}  // namespace weir::internal
