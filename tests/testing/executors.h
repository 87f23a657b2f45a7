// Executors for tests: threads of their own for each job, or jobs that run when the test says so.
#pragma once

#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime/executor.h"

namespace weir::testing {

// A thread for each job. submit() on one thread.
class ThreadForEach final : public Executor {
 public:
  ThreadForEach() = default;
  ThreadForEach(const ThreadForEach&) = delete;
  ThreadForEach& operator=(const ThreadForEach&) = delete;
  ~ThreadForEach() {
    for (std::thread& thread : threads_) thread.join();
  }
  void submit(Job& job) override {
    threads_.emplace_back([&job] { job.run(); });
  }
  std::size_t jobs() const { return threads_.size(); }

 private:
  std::vector<std::thread> threads_;
};

// Keeps jobs until the test takes them.
class ByHand final : public Executor {
 public:
  void submit(Job& job) override { jobs.push_back(&job); }
  Job& take() {
    Job& job = *jobs.front();
    jobs.erase(jobs.begin());
    return job;
  }
  std::vector<Job*> jobs;
};

}  // namespace weir::testing
