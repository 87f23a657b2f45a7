// Threads that work for a ring: jobs handed to a worker and back, threads of their own, threads that ask the ring.

#include <thread>
#include <vector>

#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/raw/waking_ring.h"

namespace weir::bench::raw {
namespace {

struct Job : Node {
  int result = 0;
};

// One thread, its jobs in a stack, its results back to the ring a list at a time.
class Worker {
 public:
  explicit Worker(WakingRing& ring) : ring_(ring), thread_([this] { work(); }) {}
  ~Worker() {
    stop_ = true;
    submit(last_);
    thread_.join();
  }

  void submit(Job& job) {
    if (!jobs_.push(job)) return;
    word_.store(1, std::memory_order_release);
    futex_wake(word_);
  }

 private:
  void work() {
    for (;;) {
      Node* list = oldest_first(jobs_.take());
      if (list == nullptr) {
        if (jobs_.prepare_sleep()) {
          while (word_.load(std::memory_order_acquire) == 0) futex_wait(word_, 0);
          word_.store(0, std::memory_order_relaxed);
        }
        continue;
      }
      while (list != nullptr) {
        Job& job = *static_cast<Job*>(list);
        list = list->next;
        if (&job == &last_ && stop_) return;
        job.result = 1;
        ring_.push(job);
      }
    }
  }

  WakingRing& ring_;
  Stack jobs_;
  std::atomic<uint32_t> word_{0};
  std::atomic<bool> stop_{false};
  Job last_;
  std::thread thread_;
};

class Calls final : public Side {
 public:
  explicit Calls(unsigned in_flight) : jobs_(in_flight) {}

  Measured run(uint64_t count) override {
    return time_of(count, [&] {
      uint64_t submitted = 0;
      uint64_t done = 0;
      for (Job& job : jobs_) {
        if (submitted++ < count) worker_.submit(job);
      }
      while (done < count) {
        for (Node* list = ring_.wait(); list != nullptr;) {
          Job& job = *static_cast<Job*>(list);
          list = list->next;
          done += static_cast<uint64_t>(job.result);
          if (submitted++ < count) worker_.submit(job);
        }
      }
    });
  }

 private:
  WakingRing ring_;
  std::vector<Job> jobs_;
  Worker worker_{ring_};
};

class SeparateThreads final : public Side {
 public:
  Measured run(uint64_t count) override {
    return time_of(count, [&] {
      for (uint64_t i = 0; i < count; ++i) {
        Job job;
        std::thread thread([this, &job] {
          job.result = 1;
          ring_.push(job);
        });
        ring_.wait();
        thread.join();
      }
    });
  }

 private:
  WakingRing ring_;
};

struct Question : Node {
  std::atomic<uint32_t> answered{0};
  int answer = 0;
};

class Questions final : public Side {
 public:
  explicit Questions(unsigned threads) : threads_(threads) {}

  Measured run(uint64_t count) override {
    return time_of(count, [&] {
      std::vector<std::thread> threads;
      for (unsigned i = 0; i < threads_; ++i) {
        threads.emplace_back([this, mine = count / threads_ + (i < count % threads_)] { ask(mine); });
      }
      for (uint64_t answered = 0; answered < count;) {
        for (Node* list = ring_.wait(); list != nullptr; ++answered) {
          Question& question = *static_cast<Question*>(list);
          list = list->next;
          question.answer = 1;
          // The question is gone as soon as its thread sees this; the wake needs the address only.
          if (question.answered.exchange(2, std::memory_order_acq_rel) == 1) futex_wake(question.answered);
        }
      }
      for (std::thread& thread : threads) thread.join();
    });
  }

 private:
  void ask(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      Question question;
      ring_.push(question);
      uint32_t waiting = 0;
      question.answered.compare_exchange_strong(waiting, 1, std::memory_order_acq_rel);
      while (question.answered.load(std::memory_order_acquire) != 2) futex_wait(question.answered, 1);
    }
  }

  const unsigned threads_;
  WakingRing ring_;
};

}  // namespace

MakeSide calls(unsigned in_flight) {
  return [in_flight] { return std::make_unique<Calls>(in_flight); };
}
MakeSide separate_threads() {
  return [] { return std::make_unique<SeparateThreads>(); };
}
MakeSide questions(unsigned threads) {
  return [threads] { return std::make_unique<Questions>(threads); };
}

}  // namespace weir::bench::raw
