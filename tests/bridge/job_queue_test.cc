#include "weir/bridge/job_queue.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace weir::internal {
namespace {

class NumberedJob final : public Job {
 public:
  void run() noexcept override {}
  void drop() noexcept override {}
  int number = 0;
};

std::vector<NumberedJob> numbered(int count) {
  std::vector<NumberedJob> jobs(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) jobs[static_cast<size_t>(i)].number = i;
  return jobs;
}

int number_of(Job* job) { return job == nullptr ? -1 : static_cast<NumberedJob*>(job)->number; }

TEST(JobQueue, FirstInFirstOut) {
  auto jobs = numbered(6);
  JobQueue<> queue;
  EXPECT_FALSE(queue.has_jobs());
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push(jobs[static_cast<size_t>(i)]));
  EXPECT_TRUE(queue.has_jobs());
  int empty = 0;
  const auto when_empty = [&empty] { ++empty; };
  for (int i = 0; i < 2; ++i) {
    const auto popped = queue.pop(when_empty);
    EXPECT_EQ(number_of(popped.job), i);
    EXPECT_TRUE(popped.left);
  }
  EXPECT_TRUE(queue.push(jobs[4]));  // behind what was taken from the stack already
  EXPECT_TRUE(queue.push(jobs[5]));
  for (int i = 2; i < 6; ++i) EXPECT_EQ(number_of(queue.pop(when_empty).job), i);
  EXPECT_EQ(empty, 0);
  EXPECT_FALSE(queue.has_jobs());
  EXPECT_EQ(queue.pop(when_empty).job, nullptr);
  EXPECT_EQ(empty, 1);
}

TEST(JobQueue, CloseGivesWhatWaitedInOrderAndRefusesMore) {
  auto jobs = numbered(5);
  JobQueue<> queue;
  for (int i = 0; i < 3; ++i) queue.push(jobs[static_cast<size_t>(i)]);
  queue.pop([] {});  // the others are ready now
  queue.push(jobs[3]);
  Job* waited = queue.close();
  for (int i = 1; i < 4; ++i, waited = waited->next) ASSERT_EQ(number_of(waited), i);
  EXPECT_EQ(waited, nullptr);
  EXPECT_FALSE(queue.push(jobs[4]));
  EXPECT_FALSE(queue.has_jobs());
  EXPECT_EQ(queue.pop([] {}).job, nullptr);
  EXPECT_EQ(queue.close(), nullptr);
}

TEST(JobQueue, EachSubmittersJobsKeepTheirOrder) {
  constexpr int kJobs = 20'000;
  std::vector<NumberedJob> first = numbered(kJobs);
  std::vector<NumberedJob> second = numbered(kJobs);
  JobQueue<> queue;
  const auto push_all = [&queue](std::vector<NumberedJob>& jobs) {
    for (NumberedJob& job : jobs) queue.push(job);
  };
  std::thread one([&] { push_all(first); });
  std::thread two([&] { push_all(second); });
  int seen_first = 0;
  int seen_second = 0;
  while (seen_first + seen_second < 2 * kJobs) {
    Job* const job = queue.pop([] {}).job;
    if (job == nullptr) {
      std::this_thread::yield();
      continue;
    }
    auto* const numbered_job = static_cast<NumberedJob*>(job);
    const bool of_first = numbered_job >= first.data() && numbered_job < first.data() + kJobs;
    ASSERT_EQ(numbered_job->number, of_first ? seen_first++ : seen_second++);
  }
  one.join();
  two.join();
}

}  // namespace
}  // namespace weir::internal
