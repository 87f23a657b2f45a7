// The end of the process, and the threads that it waits for: in children, which end with what their last job says.

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <system_error>
#include <thread>

#include "weir/bridge/separate.h"
#include "weir/tests/testing/child_process.h"
#include "weir/tests/testing/own_threads.h"
#include "weir/weir.h"

// A thread is left behind on purpose.
extern "C" const char* __tsan_default_options() { return "report_thread_leaks=0"; }

namespace weir {
namespace {

constexpr int kJobEnded = 42;

std::atomic<bool> exiting{false};
std::atomic<bool> running{false};

class LateJob final : public Job {
 public:
  void run() noexcept override {
    running = true;
    while (!exiting) ::sched_yield();
    ::_exit(kJobEnded);
  }
  void drop() noexcept override {}
};

// The job ends after exit() has begun: the handler that lets it go is run before weir's, as it was registered later.
int exit_under_a_job() {
  ::alarm(60);
  static LateJob job;
  internal::separate_threads("late", false).submit(job);
  while (!running) ::sched_yield();
  ::atexit([] { exiting = true; });
  ::exit(0);
}

TEST(Separate, S04_TheEndOfTheProcessWaitsForAThreadThatIsNotDetached) {
  EXPECT_EQ(testing::exit_status_of(exit_under_a_job), kJobEnded);
}

// The last thread's end wakes who waits for it in exit().
class SlowJob final : public Job {
 public:
  void run() noexcept override {
    running = true;
    while (!exiting || !testing::is_asleep(::getpid())) ::sched_yield();
  }
  void drop() noexcept override {}
};

int exit_under_jobs_that_end() {
  ::alarm(60);
  static SlowJob jobs[2];
  for (SlowJob& job : jobs) internal::separate_threads("slow", false).submit(job);
  while (!running) ::sched_yield();
  ::atexit([] { exiting = true; });
  ::exit(0);
}

TEST(Separate, S04_TheEndOfTheProcessGoesOnWhenItsThreadsHaveEnded) {
  EXPECT_EQ(testing::exit_status_of(exit_under_jobs_that_end), 0);
}

// Streams, too; their loop is on another thread, which nobody waits for.
template <class Make>
int exit_under_a_stream(Make make) {
  ::alarm(60);
  std::thread([make] {
    auto stream = make([](Sink<int>& sink) {
      sink.put(1);
      while (!exiting || !testing::is_asleep(::getpid())) ::sched_yield();
      ::_exit(kJobEnded);
    });
    run([](auto& source) -> Task<> {
      (void)co_await source.next();
      running = true;
      for (;;) ::pause();
    }(stream));
  }).detach();
  while (!running) ::sched_yield();
  ::atexit([] { exiting = true; });
  ::exit(0);
}

TEST(Separate, S04_TheEndOfTheProcessWaitsForStreamsThatAreNotDetached) {
  EXPECT_EQ(testing::exit_status_of([] {
              return exit_under_a_stream([](auto producer) { return threaded_iterable_separate(producer, {.detach = false})(); });
            }),
            kJobEnded);
  EXPECT_EQ(testing::exit_status_of([] {
              return exit_under_a_stream([](auto producer) { return IteratorWrapperSeparate(producer, {.detach = false}); });
            }),
            kJobEnded);
}

// The end of the process waits for no thread that could not be made.
int exit_after_a_refusal() {
  ::alarm(60);
  static LateJob job;
  int refused = 0;
  for (const bool detach : {true, false}) {
    const testing::NoNewThreads none;
    try {
      internal::separate_threads("none", detach).submit(job);
    } catch (const std::system_error&) {
      ++refused;
    }
  }
  ::exit(refused == 2 ? 0 : 1);
}

TEST(Separate, S04_AThreadThatCannotBeMadeIsAnErrorAndNotWaitedFor) {
  EXPECT_EQ(testing::exit_status_of(exit_after_a_refusal), 0);
}

int exit_beside_a_detached_thread() {
  ::alarm(60);
  static LateJob job;
  internal::separate_threads("late", true).submit(job);
  while (!running) ::sched_yield();
  ::exit(0);
}

TEST(Separate, S03_TheEndOfTheProcessDoesNotWaitForADetachedThread) {
  EXPECT_EQ(testing::exit_status_of(exit_beside_a_detached_thread), 0);
}

}  // namespace
}  // namespace weir
