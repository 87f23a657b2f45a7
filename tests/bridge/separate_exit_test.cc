// The end of the process, and the threads that it waits for: in children, which end with what their last job says.

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>

#include "weir/bridge/separate.h"
#include "weir/tests/testing/child_process.h"

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
