// The end of a pool's thread through every interleaving of small scenarios: it is joined or detached, once; and who joins
// it, or makes the next thread of its record, finds it gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "weir/bridge/thread_word.h"
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

// The record of a thread, as PoolThread drives it.
struct Record {
  ThreadWord<ExplorerThreads> word;
  testing::Tracked<> handle{0};  // the thread's, until somebody joins it
  ExploredEvent gone;            // what pthread_join() waits for
  int joined = 0, detached = 0, left = 0;

  void live() {
    handle = testing::Tracked<>(1);
    if (word.end()) ++detached;
    gone.set();
  }
  auto join_thread() {
    return [this] {
      require(handle.value() == 1, "the handle");
      gone.wait();
      ++joined;
    };
  }
  void join() { word.join(join_thread()); }
  void join_if_ended() { word.join_if_ended(join_thread()); }
  void abandon() { left += word.abandon(join_thread()) ? 1 : 0; }
  bool take() {
    if (!word.take()) return false;
    handle = testing::Tracked<>(0);
    return true;
  }
};

// The pool waits for the thread, while another that ends looks whether it is to be joined.
ExplorerResult explore_join() {
  return explore({.preemptions = 3, .stale_reads = 2}, [] {
    auto record = std::make_shared<Record>();
    auto wait = [record] {
      record->join();
      require(record->handle.value() == 1, "what the thread did has happened");
    };
    return Scenario{{[record] { record->live(); }, wait, [record] { record->join_if_ended(); }},
                    [record] { require(record->joined == 1 && record->detached == 0, "joined once"); }};
  });
}

TEST(ThreadWordExplorer, AThreadIsJoinedOnce) { expect_proven(explore_join()); }

// The pool gives it up: then it is detached, or was joined before; and who waits for it waits no more.
ExplorerResult explore_abandon() {
  return explore({.preemptions = 3, .stale_reads = 2}, [] {
    auto record = std::make_shared<Record>();
    auto give_up = [record] {
      record->abandon();
      record->join();
    };
    return Scenario{{[record] { record->live(); }, give_up, [record] { record->join_if_ended(); }},
                    [record] {
                      require(record->joined + record->detached == 1, "joined or detached, once");
                      require(record->detached == record->left, "detached if it was left behind");
                    }};
  });
}

TEST(ThreadWordExplorer, AnAbandonedThreadIsJoinedOrDetachesItself) { expect_proven(explore_abandon()); }

// The record is used again for the next thread, which may not be made.
ExplorerResult explore_next_thread() {
  return explore({.preemptions = 3, .stale_reads = 2}, [] {
    auto record = std::make_shared<Record>();
    auto make_next = [record] {
      if (!record->take()) return;
      require(record->joined == 1, "the last thread is gone");
      record->word.give_back();
    };
    auto end_and_join = [record] { record->join(); };
    return Scenario{{[record] { record->live(); }, make_next, end_and_join},
                    [record] { require(record->joined == 1, "joined once"); }};
  });
}

TEST(ThreadWordExplorer, ARecordIsTakenAgainWhenItsThreadIsGone) { expect_proven(explore_next_thread()); }

testing::Explorations all() { return {explore_join, explore_abandon, explore_next_thread}; }

TEST(ThreadWordExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(ThreadWordExplorer, EveryOrderAndWakeUpIsNeeded) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const testing::MutationReport report = testing::mutate(all());
  EXPECT_GE(report.mutants, 10);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  EXPECT_THAT(report.unheard, ::testing::ElementsAre());
  EXPECT_THAT(report.hints, ::testing::ElementsAre());
}

}  // namespace explored
}  // namespace weir::internal
