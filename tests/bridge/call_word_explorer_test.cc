// A call's word through every interleaving of small scenarios: its function runs or is withdrawn, never both; who is
// cancelled unwinds only when nothing refers to its locals any more; and the last to let go finds all the others done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "weir/bridge/call_word.h"
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

using Value = testing::Tracked<>;
using ExploredInbox = BasicInbox<ExplorerThreads::Atomic>;

// A call as CallStateBase drives it, its loop, and an executor of one thread.
class Call final : public InboxNode {
 public:
  // ---- the loop
  void submit() {
    locals = Value(1);
    callable = Value(1);
    word.submit();
    queue.set();
  }
  // The caller is cancelled. True: it has unwound.
  bool give_up(bool attached) {
    withdrawn = word.withdraw();
    if (withdrawn) {
      callable = Value(0);
      locals = Value(0);
    } else if (attached && !delivered) {
      return false;
    }
    waits = false;
    return true;
  }
  void wait_for_end() {
    while (!delivered) {
      InboxNode* const list = inbox.maybe_filled() ? inbox.take() : nullptr;
      if (list != nullptr) return list->deliver();
      if (inbox.prepare_sleep()) eventfd.wait();
    }
  }
  void deliver() noexcept override {
    delivered = true;
    if (waits) {
      require(result.value() == 1, "the result");
      locals = Value(0);
    }
    release();
  }

  // ---- the executor's thread
  void run() {
    queue.wait();
    if (word.take()) {
      callable.value();
      if (uses_locals) locals.value();
      result = Value(1);
      callable = Value(0);
      ++runs;
    }
    switch (inbox.push(*this)) {
      case ExploredInbox::Pushed::kOntoSleeper:
        return eventfd.set();
      case ExploredInbox::Pushed::kRefused:
        return release();
      case ExploredInbox::Pushed::kQuietly:
        return;
    }
  }

  // ---- both
  void release() {
    if (!word.let_go()) return;
    ++ends;
    callable.value();
    result.value();
  }

  void check() const {
    require(ends == 1, "let go of by all, once");
    require(runs == (withdrawn ? 0 : 1), "run, or withdrawn");
  }

  CallWord<ExplorerThreads> word;
  ExploredInbox inbox;
  ExploredEvent queue, eventfd;
  Value callable{0}, result{0};
  Value locals{0};  // of the caller, which the job may use until the caller unwinds
  bool uses_locals = true;
  bool waits = true;
  bool delivered = false;
  bool withdrawn = false;
  int runs = 0;
  int ends = 0;
};

enum class Cancel { kNot, kDetached, kAttached };

// Awaited, and perhaps cancelled meanwhile. A running job that is left behind must own what it uses.
ExplorerResult explore_await(Cancel cancel) {
  return explore({.preemptions = 4, .stale_reads = 2}, [cancel] {
    auto call = std::make_shared<Call>();
    auto loop = [call, cancel] {
      call->submit();
      if (cancel != Cancel::kNot) (void)call->give_up(cancel == Cancel::kAttached);
      if (!call->withdrawn || cancel == Cancel::kAttached) call->wait_for_end();
      call->release();
      call->wait_for_end();
    };
    call->uses_locals = cancel != Cancel::kDetached;
    return Scenario{{loop, [call] { call->run(); }}, [call] { call->check(); }};
  });
}

TEST(CallWordExplorer, TheResultArrives) { expect_proven(explore_await(Cancel::kNot)); }

TEST(CallWordExplorer, ACancelWithdrawsItOrLeavesItBehind) { expect_proven(explore_await(Cancel::kDetached)); }

TEST(CallWordExplorer, AnAttachedOneIsWithdrawnOrWaitedFor) { expect_proven(explore_await(Cancel::kAttached)); }

// Its owner has gone elsewhere, and drops it there; the loop ends at some time.
ExplorerResult explore_dropped_elsewhere(bool loop_ends) {
  return explore({.preemptions = 4, .stale_reads = 2}, [loop_ends] {
    auto call = std::make_shared<Call>();
    auto moved = std::make_shared<ExploredEvent>();
    auto loop = [call, moved, loop_ends] {
      call->waits = false;
      call->submit();
      moved->set();
      if (!loop_ends) return call->wait_for_end();
      if (InboxNode* const node = call->inbox.close()) node->deliver();
    };
    auto owner = [call, moved] {
      moved->wait();
      call->release();
    };
    return Scenario{{loop, [call] { call->run(); }, owner}, [call] { call->check(); }};
  });
}

TEST(CallWordExplorer, ItIsLetGoOfOnAnyThread) { expect_proven(explore_dropped_elsewhere(false)); }

TEST(CallWordExplorer, ALoopThatEndsLeavesNothingBehind) { expect_proven(explore_dropped_elsewhere(true)); }

testing::Explorations all() {
  return {
      [] { return explore_await(Cancel::kNot); },
      [] { return explore_await(Cancel::kDetached); },
      [] { return explore_await(Cancel::kAttached); },
      [] { return explore_dropped_elsewhere(false); },
      [] { return explore_dropped_elsewhere(true); },
  };
}

TEST(CallWordExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(CallWordExplorer, EveryOrderAndComparisonIsNeeded) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const testing::MutationReport report = testing::mutate(all(), {.but_in = "inbox.h"});
  EXPECT_GE(report.mutants, 4);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  EXPECT_THAT(report.unheard, ::testing::ElementsAre());
  EXPECT_THAT(report.hints, ::testing::ElementsAre());
}

}  // namespace explored
}  // namespace weir::internal
