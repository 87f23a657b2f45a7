// Cancelling who awaits a call, at every point of the call's life.

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/threaded.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Count;
using testing::Gate;

Task<> cancel_running() {
  Gate began, go;
  Count ended;
  auto f = threaded([&] {
    began.open();
    go.wait();
    ended.add();
    return 1;
  });
  auto task = spawn([&]() -> Task<int> { co_return co_await f(); });
  co_await tests::settle();
  began.wait();
  task.cancel();
  EXPECT_THROW(co_await std::move(task), Cancelled);  // while the job still runs
  EXPECT_EQ(ended.value(), 0);
  go.open();
  ended.wait_for(1);  // and goes on
}
TEST(Threaded, T07_ARunningCallIsLeftBehindAndGoesOn) { run(cancel_running()); }

Task<> cancel_tells() {
  Gate began, stopped;
  Count ended;
  auto f = threaded([&](std::stop_token stop) {
    const std::stop_callback told(stop, [&stopped] { stopped.open(); });
    began.open();
    stopped.wait();
    ended.add();
  });
  auto task = spawn([&]() -> Task<> { co_await f(); });
  co_await tests::settle();
  began.wait();
  task.cancel();
  EXPECT_THROW(co_await std::move(task), Cancelled);
  ended.wait_for(1);
}
TEST(Threaded, T07_ACancelSetsTheStopToken) { run(cancel_tells()); }

Task<> cancel_queued() {
  ThreadPool pool({.size = 1});
  Gate busy, go;
  std::atomic<int> ran = 0;
  auto blocker = threaded([&] {
    busy.open();
    go.wait();
  }).on(pool);
  Call<void> running = blocker();
  busy.wait();
  auto f = threaded([&ran] { ++ran; }).on(pool);
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 1000; ++i) tasks.push_back(spawn(f()));
  co_await tests::settle();
  for (auto& task : tasks) task.cancel();
  for (auto& task : tasks) EXPECT_THROW(co_await std::move(task), Cancelled);
  go.open();
  co_await std::move(running);
  co_await threaded([] {}).on(pool)();  // behind all of them
  EXPECT_EQ(ran, 0);
}
TEST(Threaded, T08_AQueuedCallThatIsCancelledNeverRuns) { run(cancel_queued()); }

// The pool lets go of the withdrawn job before its caller, which is ready behind many others, is resumed.
Task<> withdrawn_before_resumed() {
  ThreadPool pool({.size = 1});
  Gate go;
  const auto hold = threaded([&go] { go.wait(); }).on(pool);
  const auto never = threaded([] { return std::make_unique<int>(1); }).on(pool);
  Call<void> holding = hold();
  auto task = spawn([&]() -> Task<std::unique_ptr<int>> { co_return co_await never(); });
  co_await tests::settle();
  bool over = false;
  std::vector<JoinHandle<void>> others;
  const auto turn = [&over]() -> Task<> {
    while (!over) co_await yield();
  };
  for (int i = 0; i < 2000; ++i) others.push_back(spawn(turn));  // more than one turn of the loop resumes
  co_await tests::settle();
  task.cancel();
  go.open();
  while (pool.stats().done < 2) std::this_thread::yield();  // the loop stands still meanwhile
  EXPECT_THROW(co_await std::move(task), Cancelled);
  over = true;
  co_await gather(std::move(others));
  co_await std::move(holding);
}
TEST(Threaded, T08_AWithdrawnCallHasNoResultHoweverLateItsCallerIsResumed) { run(withdrawn_before_resumed()); }

Task<> time_out() {
  Gate began, go;
  Count ended;
  auto f = threaded([&] {
    began.open();
    go.wait();
    ended.add();
  });
  auto call = f();
  began.wait();  // one that is still queued would never run
  auto handle = spawn(timeout(absl::Milliseconds(1), std::move(call)));
  EXPECT_EQ((co_await std::move(handle)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ended.value(), 0);
  go.open();
  ended.wait_for(1);
}
TEST(Threaded, T10_ATimeoutLeavesTheThreadAlone) { run(time_out()); }

Task<> attached() {
  Gate began;
  std::atomic<bool> ended = false;
  auto f = threaded([&](std::stop_token stop) {
    Gate told;
    const std::stop_callback callback(stop, [&told] { told.open(); });
    began.open();
    told.wait();
    ended = true;
  }).attached();
  auto task = spawn([&]() -> Task<> {
    int local = 1;
    co_await f();
    local = 2;  // the job's result arrived in spite of the cancel
    EXPECT_TRUE(ended);
    EXPECT_THROW(co_await yield(), Cancelled);
    EXPECT_EQ(local, 2);
  });
  co_await tests::settle();
  began.wait();
  task.cancel();
  co_await std::move(task);
  EXPECT_TRUE(ended);
}
TEST(Threaded, AnAttachedCallIsToldAndWaitedFor) { run(attached()); }

Task<> attached_before_the_await() {
  Gate began, go;
  std::atomic<bool> ended = false;
  auto f = threaded([&] {
    began.open();
    go.wait();
    ended = true;
  }).attached();
  auto task = spawn([&]() -> Task<> {
    Call<void> call = f();
    began.wait();
    try {
      for (;;) co_await yield();
    } catch (const Cancelled&) {
    }
    co_await std::move(call);
    EXPECT_TRUE(ended);
  });
  co_await tests::settle();
  task.cancel();
  co_await tests::settle();
  EXPECT_FALSE(task.done());
  go.open();
  co_await std::move(task);
}
TEST(Threaded, AnAttachedCallAwaitedAfterTheCancelIsWaitedForToo) { run(attached_before_the_await()); }

// A cancel at the very moment of the result.
Task<> cancel_at_the_end(int rounds) {
  std::mt19937 random(7);
  auto f = threaded([](int n) { return std::make_unique<int>(n); });
  int cancelled = 0, ended = 0;
  for (int i = 0; i < rounds; ++i) {
    auto task = spawn([&f, i]() -> Task<int> { co_return *co_await f(i); });
    for (unsigned turns = random() % 6; turns > 0; --turns) co_await yield();
    task.cancel();
    try {
      EXPECT_EQ(co_await std::move(task), i);
      ++ended;
    } catch (const Cancelled&) {
      ++cancelled;
    }
  }
  EXPECT_EQ(cancelled + ended, rounds);
}
TEST(Threaded, D12_ACancelAtTheMomentOfTheResult) { run(cancel_at_the_end(testing::storm(5000))); }

Task<> mixed_storm(unsigned seed) {
  std::mt19937 random(seed);
  ThreadPool pool({.size = 2});
  auto plain = threaded([](int n) { return n; }).on(pool);
  auto attached_form = threaded([](std::stop_token, int n) { return n; }).on(pool).attached();
  std::vector<JoinHandle<int>> tasks;
  for (int i = 0; i < 300; ++i) {
    tasks.push_back(random() % 2 == 0 ? spawn(plain(i)) : spawn(attached_form(i)));
    if (random() % 4 == 0) tasks[random() % tasks.size()].cancel();
    if (random() % 8 == 0) (void)plain(i);
    if (random() % 16 == 0) co_await yield();
    if (seed % 3 == 0 && i == 200) pool.close();
    if (seed % 3 == 0 && i >= 200) break;
  }
  for (int i = 0; i < static_cast<int>(tasks.size()); ++i) {
    try {
      EXPECT_EQ(co_await std::move(tasks[i]), i);
    } catch (const Cancelled&) {
    } catch (const PoolClosed&) {
      EXPECT_EQ(seed % 3, 0u);
    }
  }
}
void ignore(std::exception_ptr, std::string_view, void*) noexcept {}
// An executor whose thread is the test itself: it takes a job when the test says so.
class ByHand final : public Executor {
 public:
  void submit(Job& job) override { jobs_.push_back(&job); }
  Job& take() {
    Job& job = *jobs_.front();
    jobs_.pop_front();
    return job;
  }

 private:
  std::deque<Job*> jobs_;
};

// Says when it is destroyed, and calls something in that moment.
class Farewell {
 public:
  Farewell(bool& gone, std::function<void()> then = nullptr) : gone_(&gone), then_(std::move(then)) {}
  Farewell(Farewell&& other) noexcept : gone_(std::exchange(other.gone_, nullptr)), then_(std::move(other.then_)) {}
  Farewell(const Farewell&) = delete;
  Farewell& operator=(const Farewell&) = delete;
  ~Farewell() {
    if (gone_ == nullptr) return;
    EXPECT_FALSE(*gone_);
    *gone_ = true;
    if (then_) then_();
  }

 private:
  bool* gone_;
  std::function<void()> then_;
};

// A job that must not run, and the moments at which a thread may come to it although its caller was cancelled.
enum class Comes { kAfterTheCancel, kWhileItIsDestroyed, kDropped, kBeforeTheCallerResumes };

Task<> queued_job_of_a_cancelled_caller(Comes comes) {
  ByHand threads;
  bool gone = false;
  const auto attached_call = threaded([](Farewell) { ADD_FAILURE() << "ran"; }).on(threads).attached();
  const auto worker_comes = [&] { threads.take().run(); };
  const auto caller = [&]() -> Task<> {
    bool gone_when_it_unwinds = false;
    try {
      Farewell argument(gone, comes == Comes::kWhileItIsDestroyed ? std::function<void()>(worker_comes) : nullptr);
      co_await attached_call(std::move(argument));
    } catch (const Cancelled&) {
      gone_when_it_unwinds = gone;
    }
    EXPECT_TRUE(gone_when_it_unwinds);
  };
  JoinHandle<void> handle = spawn(caller());
  co_await yield();
  std::vector<JoinHandle<void>> crowd;  // more than run in a turn, so that the inbox comes before the caller
  if (comes == Comes::kBeforeTheCallerResumes) {
    for (int i = 0; i < 1000; ++i) crowd.push_back(spawn(yield()));
  }
  handle.cancel();
  EXPECT_TRUE(gone);
  if (comes == Comes::kBeforeTheCallerResumes) worker_comes();
  co_await handle;
  if (comes == Comes::kAfterTheCancel) worker_comes();
  if (comes == Comes::kDropped) threads.take().drop();
}

class QueuedJob : public ::testing::TestWithParam<Comes> {};
TEST_P(QueuedJob, OfACancelledCallerIsGoneBeforeThatUnwinds) { run(queued_job_of_a_cancelled_caller(GetParam())); }
INSTANTIATE_TEST_SUITE_P(Threaded, QueuedJob,
                         ::testing::Values(Comes::kAfterTheCancel, Comes::kWhileItIsDestroyed, Comes::kDropped,
                                           Comes::kBeforeTheCallerResumes));

// The other order: the thread has taken the job, so the cancel comes too late for it and its caller waits.
Task<> running_job_of_a_cancelled_caller() {
  ByHand threads;
  bool gone = false;
  JoinHandle<void> handle;
  const auto job = [&](std::stop_token stop, Farewell) {
    handle.cancel();  // this thread is the loop's, too
    EXPECT_TRUE(stop.stop_requested());
    EXPECT_FALSE(gone);
  };
  const auto attached_call = threaded(job).on(threads).attached();
  const auto caller = [&]() -> Task<> {
    Farewell argument(gone);
    co_await attached_call(std::move(argument));
    EXPECT_TRUE(gone);
  };
  handle = spawn(caller());
  co_await yield();
  threads.take().run();
  co_await handle;
}
TEST(Threaded, ARunningAttachedCallIsWaitedForThoughItsEndAndTheCancelMeet) { run(running_job_of_a_cancelled_caller()); }

TEST(Threaded, T09_AStormOfCancelsDropsAndAClosedPool) {
  LoopOptions options;
  options.on_unhandled = &ignore;  // calls that were dropped, then failed with the pool
  for (int seed = 0; seed < testing::storm(20); ++seed) tests::make_loop(options)->run(mixed_storm(seed));
}

}  // namespace
}  // namespace weir
