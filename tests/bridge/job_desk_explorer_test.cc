// The protocol of a pool's workers through every interleaving of small scenarios: no job is left behind while a thread
// may run, and none is lost at the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "weir/bridge/job_desk.h"
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

// A pool as PoolCore drives it. Its threads are the explorer's: `size` that begin asleep, and spare ones that begin when
// they are made.
template <class Threads>
struct Pool {
  using Gate = WorkerGate<Threads>;
  using Sleep = typename Gate::Sleep;

  // At most `spares` at a time, and `made_max` one after another.
  Pool(unsigned size, unsigned spares, unsigned made_max) : desk(size, spares), spare_begins(made_max) {}
  Pool(unsigned size, unsigned spares) : Pool(size, spares, spares) {}

  class FunctionJob final : public Job {
   public:
    explicit FunctionJob(std::function<void()> function) : function_(std::move(function)) {}
    void run() noexcept override {
      submitted.value();
      function_();
    }
    void drop() noexcept override {
      submitted.value();
      dropped = true;
    }
    bool dropped = false;
    testing::Tracked<> submitted{0};  // who submits it wrote it

   private:
    std::function<void()> function_;
  };

  void call() {
    if (desk.gate().call() != Gate::Call::kSpawn) return;
    if (std::exchange(next_spawn_fails, false)) return desk.gate().not_made();
    require(spares_made < spare_begins.size(), "a spare thread too many");
    if (spares_made < spare_begins.size()) spare_begins[spares_made++].set();
  }

  bool submit(FunctionJob& job) {
    job.submitted = testing::Tracked<>(1);
    return desk.submit(job, [this] { call(); });
  }

  void work(bool spare) {
    testing::Tracked<>& record = *records.emplace_back(std::make_unique<testing::Tracked<>>(0));
    if (!spare && !sleep(spare, record)) return;
    bool woken = true;
    for (;;) {
      if (Job* const job = desk.next_job(woken, [this] { call(); })) {
        job->run();
        continue;
      }
      if (!sleep(spare, record)) return;
      woken = true;
    }
  }

  // False: the thread ends, and will be joined by who waits until all have left.
  bool sleep(bool spare, testing::Tracked<>& record) {
    int64_t deadline = spare && spares_retire ? 1 : INT64_MAX;
    for (;;) {
      const Sleep how = desk.gate().sleep(deadline);
      if (how == Sleep::kWoken) return true;
      record = testing::Tracked<>(1);
      if (how == Sleep::kClosed && waited_for) desk.gate().leave();
      if (how == Sleep::kClosed || desk.gate().retire()) return false;
      deadline = INT64_MAX;
    }
  }

  void work_as_spare(unsigned index) {
    spare_begins[index].wait();
    if (index < spares_made) work(true);
  }

  // What was queued; lets unmade spare threads end.
  void close() {
    for (Job* job = desk.close(); job != nullptr;) std::exchange(job, job->next)->drop();
    desk.gate().close();
    for (size_t i = spares_made; i < spare_begins.size(); ++i) spare_begins[i].set();
  }

  void close_and_wait() {
    waited_for = true;
    close();
    require(desk.gate().wait_until_left(INT64_MAX), "the wait was cut short");
    for (const auto& record : records) require(record->value() == 1, "a thread has not left");
  }

  FunctionJob& add(std::function<void()> function) {
    jobs.push_back(std::make_unique<FunctionJob>(std::move(function)));
    return *jobs.back();
  }

  JobDesk<Threads> desk;
  std::vector<ExploredEvent> spare_begins;
  size_t spares_made = 0;
  std::vector<std::unique_ptr<FunctionJob>> jobs;
  std::vector<std::unique_ptr<testing::Tracked<>>> records;  // of the threads, until they have left
  bool waited_for = false;                                   // until they have left
  bool spares_retire = false;                                // when they have slept for a moment
  bool next_spawn_fails = false;
  int ran = 0;
  ExploredEvent a, b, c, end;
};

// One worker, jobs with and without a pause between them.
template <class Threads>
ExplorerResult explore_submits(int preemptions) {
  return explore({.preemptions = preemptions, .stale_reads = 1}, [] {
    auto pool = std::make_shared<Pool<Threads>>(1, 0);
    auto submit = [pool] {
      Pool<Threads>& its = *pool;
      its.submit(its.add([&its] { ++its.ran; }));
      its.submit(its.add([&its] {
        ++its.ran;
        its.a.set();
      }));
      its.a.wait();
      its.submit(its.add([&its] {
        ++its.ran;
        its.b.set();
      }));
      its.b.wait();
      its.close();
    };
    auto work = [pool] { pool->work(false); };
    return Scenario{{submit, work}, [pool] { require(pool->ran == 3, "a job was left behind"); }};
  });
}

TEST(JobDeskExplorer, OneWorkerRunsEveryJob) { expect_proven(explore_submits<ExplorerThreads>(3)); }

struct WithoutWake : ExplorerThreads {
  static void wake(const Atomic<uint32_t>&, int) {}
};

TEST(JobDeskExplorer, FindsAWorkerThatNobodyWakes) {
  EXPECT_NE(explore_submits<WithoutWake>(2).failure.find("hang"), std::string::npos);
}

// Each job waits for the other: both workers must come, though a submit wakes at most one.
ExplorerResult explore_two_workers(const testing::ExplorerLimits& limits) {
  return explore(limits, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(2, 0);
    auto submit = [pool] {
      auto& its = *pool;
      its.submit(its.add([&its] {
        its.a.set();
        its.b.wait();
      }));
      its.submit(its.add([&its] {
        its.b.set();
        its.a.wait();
        its.c.set();
      }));
      its.c.wait();
      its.close();
    };
    auto work = [pool] { pool->work(false); };
    return Scenario{{submit, work, work}, nullptr};
  });
}

TEST(JobDeskExplorer, AsManyWorkersComeAsThereIsWork) {
  expect_proven(explore_two_workers({.preemptions = 2, .stale_reads = 0}));
  expect_proven(explore_two_workers({.preemptions = 1, .stale_reads = 1}));
}

// Two submitters; the jobs of both run.
ExplorerResult explore_two_submitters(int preemptions) {
  return explore({.preemptions = preemptions, .stale_reads = 1}, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(1, 0);
    auto& first = pool->add([its = pool.get()] {
      ++its->ran;
      its->a.set();
    });
    auto& second = pool->add([its = pool.get()] {
      ++its->ran;
      its->b.set();
    });
    auto work = [pool] { pool->work(false); };
    return Scenario{{[pool, &first] {
                       pool->submit(first);
                       pool->a.wait();
                       pool->b.wait();
                       pool->close();
                     },
                     [pool, &second] { pool->submit(second); }, work},
                    [pool] { require(pool->ran == 2, "a job was left behind"); }};
  });
}

TEST(JobDeskExplorer, TwoSubmitters) { expect_proven(explore_two_submitters(2)); }

// A job parks and waits for one behind it, which was queued before, or is while it is parked: a spare thread comes.
ExplorerResult explore_spare(int preemptions) {
  return explore({.preemptions = preemptions, .stale_reads = 1}, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(1, 1);
    auto submit = [pool] {
      auto& its = *pool;
      its.submit(its.add([&its] {
        its.desk.park([&its] { its.call(); });
        its.a.wait();
        its.desk.gate().unpark();
        its.c.set();
      }));
      its.submit(its.add([&its] { its.a.set(); }));
      its.c.wait();
      its.close();
    };
    return Scenario{{submit, [pool] { pool->work(false); }, [pool] { pool->work_as_spare(0); }},
                    [pool] { require(pool->spares_made == 1, "no spare thread was made"); }};
  });
}

TEST(JobDeskExplorer, ASpareThreadStandsInForAParkedOne) { expect_proven(explore_spare(2)); }

// A parked job goes on while the thread that stands in for it is on its way: that one is too many, sleeps again, and
// must not be counted on by later submits.
ExplorerResult explore_surplus(int preemptions) {
  return explore({.preemptions = preemptions, .stale_reads = 0}, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(1, 1);
    auto submit = [pool] {
      auto& its = *pool;
      its.submit(its.add([&its] {
        its.desk.park([&its] { its.call(); });
        its.desk.gate().unpark();
      }));
      its.submit(its.add([&its] { its.a.set(); }));
      its.a.wait();
      its.submit(its.add([&its] { its.c.set(); }));
      its.c.wait();
      its.close();
    };
    return Scenario{{submit, [pool] { pool->work(false); }, [pool] { pool->work_as_spare(0); }}, nullptr};
  });
}

TEST(JobDeskExplorer, ASurplusThreadLeavesNoWorkBehind) { expect_proven(explore_surplus(2)); }

// Every job runs, or is dropped, or is refused.
ExplorerResult explore_close(int preemptions) {
  return explore({.preemptions = preemptions, .stale_reads = 1}, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(1, 0);
    auto refused = std::make_shared<int>(0);
    for (int i = 0; i < 2; ++i) pool->add([its = pool.get()] { ++its->ran; });
    return Scenario{{[pool, refused] {
                       for (auto& job : pool->jobs) {
                         if (!pool->submit(*job)) ++*refused;
                       }
                     },
                     [pool] { pool->work(false); }, [pool] { pool->close(); }},
                    [pool, refused] {
                      int dropped = 0;
                      for (auto& job : pool->jobs) dropped += job->dropped ? 1 : 0;
                      require(pool->ran + dropped + *refused == 2, "a job is lost");
                    }};
  });
}

TEST(JobDeskExplorer, CloseLosesNoJob) { expect_proven(explore_close(2)); }

// Who waits until all threads have left finds each of them done.
ExplorerResult explore_end(const testing::ExplorerLimits& limits) {
  return explore(limits, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(2, 0);
    auto close = [pool] {
      pool->submit(pool->add([] {}));
      pool->close_and_wait();
    };
    auto work = [pool] { pool->work(false); };
    return Scenario{{close, work, work}, nullptr};
  });
}

TEST(JobDeskExplorer, TheEndWaitsForEveryThread) { expect_proven(explore_end({.preemptions = 2, .stale_reads = 1})); }

// A spare thread that is not needed any more ends, or is called meanwhile, or the pool ends.
ExplorerResult explore_retire(int preemptions) {
  return explore({.preemptions = preemptions, .stale_reads = 0}, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(1, 1, 2);
    pool->spares_retire = true;
    auto submit = [pool] {
      auto& its = *pool;
      its.submit(its.add([&its] {
        its.desk.park([&its] { its.call(); });
        its.a.wait();
        its.desk.gate().unpark();
      }));
      its.submit(its.add([&its] { its.a.set(); }));
      its.submit(its.add([&its] { its.c.set(); }));
      its.c.wait();
      its.close_and_wait();
    };
    return Scenario{{submit, [pool] { pool->work(false); }, [pool] { pool->work_as_spare(0); }, [pool] { pool->work_as_spare(1); }},
                    nullptr};
  });
}

TEST(JobDeskExplorer, ASpareThreadThatEndsLeavesNoWorkBehind) {
  expect_proven(explore_retire(testing::storm_factor() < 1 ? 0 : 1));
}

// The system gives no thread while others count on it.
ExplorerResult explore_not_made(const testing::ExplorerLimits& limits) {
  return explore(limits, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(1, 1);
    pool->next_spawn_fails = true;
    auto submit = [pool] {
      auto& its = *pool;
      its.submit(its.add([&its] {
        its.desk.park([&its] { its.call(); });
        its.a.set();
        its.desk.gate().unpark();
      }));
      its.a.wait();
      its.submit(its.add([&its] { its.c.set(); }));
      its.c.wait();
      its.close_and_wait();
    };
    return Scenario{{submit, [pool] { pool->work(false); }, [pool] { pool->work_as_spare(0); }}, nullptr};
  });
}

TEST(JobDeskExplorer, AThreadThatWasNotMadeIsNotCountedOn) { expect_proven(explore_not_made({.preemptions = 2, .stale_reads = 0})); }

// A job parks while another worker takes one job of two, and leaves the second behind for whoever stands in.
ExplorerResult explore_left_over() {
  return explore({.preemptions = 0, .stale_reads = 1}, [] {
    auto pool = std::make_shared<Pool<ExplorerThreads>>(2, 1);
    auto submit = [pool] {
      auto& its = *pool;
      its.submit(its.add([&its] {
        its.a.wait();
        its.desk.park([&its] { its.call(); });
        its.c.wait();
        its.desk.gate().unpark();
        its.end.set();
      }));
      its.submit(its.add([&its] {
        its.submit(its.add([&its] { its.b.wait(); }));
        its.submit(its.add([&its] {
          its.b.set();
          its.c.set();
        }));
        its.a.set();
      }));
      its.end.wait();
      its.close();
    };
    auto work = [pool] { pool->work(false); };
    return Scenario{{submit, work, work, [pool] { pool->work_as_spare(0); }}, nullptr};
  });
}

TEST(JobDeskExplorer, WhatAWorkerLeavesIsSeenByWhoParks) { expect_proven(explore_left_over()); }

testing::Explorations all() {
  return {
      explore_left_over,
      [] { return explore_two_workers({.preemptions = 1, .stale_reads = 1}); },
      [] { return explore_submits<ExplorerThreads>(1); },
      [] { return explore_two_submitters(1); },
      [] { return explore_surplus(1); },
      [] { return explore_close(1); },
      [] { return explore_spare(1); },
      [] { return explore_end({.preemptions = 1, .stale_reads = 1}); },
      [] { return explore_not_made({.preemptions = 1, .stale_reads = 1}); },
      [] { return explore_retire(0); },
  };
}

TEST(JobDeskExplorer, MindsNoSurprise) { testing::expect_proven_with_surprises(all()); }

TEST(JobDeskExplorer, EveryOrderAndWakeUpIsNeeded) {
  if (testing::storm_factor() < 1) GTEST_SKIP() << "for builds at full speed";
  const testing::MutationReport report = testing::mutate(all(), {.but_in = "futex_mutex.h", .comparisons = false, .answers = false});
  EXPECT_GT(report.mutants, 20);
  EXPECT_THAT(report.survivors, ::testing::ElementsAre());
  // Guesses: the exchange after each of them, or the futex, decides.
  EXPECT_THAT(report.hints,
              ::testing::ElementsAre("push: load tells nothing new", "retire: load tells nothing new",
                                     "sleep: load tells nothing new", "take_incoming: load tells nothing new",
                                     "to_sleep_if_surplus: load tells nothing new",
                                     "wait_until_left: load tells nothing new"));
}

}  // namespace
}  // namespace weir::internal
