#include "weir/bridge/pool_core.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>

#include "weir/bridge/futex.h"
#include "weir/runtime/errors.h"

namespace weir::internal {
namespace {

// How long a spare thread stays when it is not needed: longer than the producer of a full stream usually sleeps, so that
// parking and going on does not make a thread each time.
constexpr int64_t kSpareLinger_ns = 100'000'000;

constexpr size_t kThreadNameMax = 15;  // the system's limit

}  // namespace

void say(std::string line) {
  line.insert(0, "weir: ");
  line += '\n';
  // One write, so that the lines of several threads do not mix. Where stderr is gone there is nobody to tell.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

PoolCore::~PoolCore() {
  for (PoolThread* thread = threads_.load(std::memory_order_acquire); thread != nullptr;) {  // nobody else is left
    delete std::exchange(thread, thread->next);
  }
}

void PoolCore::start() {
  for (unsigned i = 0; i < size_; ++i) {
    try {
      spawn(false);
    } catch (...) {
      for (; i < size_; ++i) desk_.gate().leave();
      close();
      wait(INT64_MAX);
      throw;
    }
  }
}

void PoolCore::submit(Job& job) {
  submitted_.fetch_add(1, std::memory_order_relaxed);
  if (desk_.submit(job, [this] { call_worker(); })) return;
  submitted_.fetch_sub(1, std::memory_order_relaxed);
  throw PoolClosed("ThreadPool " + name_ + ": submit after shutdown");
}

// There is work: brings a worker, unless one comes anyway.
void PoolCore::call_worker() {
  using Call = WorkerGate<>::Call;
  switch (desk_.gate().call()) {
    case Call::kNobody:
    case Call::kWoken:
      return;
    case Call::kSpawn:
      try {
        spawn(true);
      } catch (const std::exception& error) {
        desk_.gate().not_made();
        say_once(std::string("no spare thread (") + error.what() + "): work waits until a parked worker goes on");
      }
      return;
    case Call::kNoMore:
      say_once(std::to_string(ThreadPool::kSparesMax) + " spare threads are parked: work waits until one goes on");
  }
}

void PoolCore::say_once(const std::string& line) {
  if (!said_.exchange(true, std::memory_order_relaxed)) say("pool " + name_ + ": " + line);
}

void PoolCore::spawn(bool spare) {
  struct Start {
    std::shared_ptr<PoolCore> pool;
    PoolThread* thread;
    bool spare;
  };
  auto start = std::make_unique<Start>(Start{shared_from_this(), nullptr, spare});
  start->thread = &idle_record();
  pthread_t handle;
  const int error = pthread_create(
      &handle, nullptr,
      [](void* argument) -> void* {
        const std::unique_ptr<Start> mine(static_cast<Start*>(argument));
        mine->thread->begin(mine->spare);
        mine->pool->work(*mine->thread);
        mine->thread->end();
        return nullptr;
      },
      start.get());
  if (error != 0) {
    start->thread->give_back();
    throw std::system_error(error, std::generic_category(), "pthread_create");
  }
  (void)start.release();
}

// A record for a new thread, taken.
PoolThread& PoolCore::idle_record() {
  PoolThread* idle = nullptr;
  for_each_record([&idle](PoolThread& thread) {
    if (idle == nullptr && thread.take()) idle = &thread;
  });
  if (idle != nullptr) return *idle;

  const std::string suffix = "-" + std::to_string(thread_number_.fetch_add(1, std::memory_order_relaxed));
  auto* const thread = new PoolThread(*this, name_.substr(0, kThreadNameMax - suffix.size()) + suffix);
  thread->next = threads_.load(std::memory_order_relaxed);
  // Pairs with for_each_record(): the record is complete.
  while (!threads_.compare_exchange_weak(thread->next, thread, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return *thread;
}

// A worker's life.
void PoolCore::work(PoolThread& thread) {
  bool woken = true;  // a spare thread was called; the others begin asleep
  if (!thread.is_spare() && !sleep(thread)) return;
  for (;;) {
    Job* const job = desk_.next_job(woken, [this] { call_worker(); });
    if (job != nullptr) {
      PoolThread::count(thread.started);
      job->run();
      PoolThread::count(thread.done);
      continue;
    }
    thread.let_go();
    if (!sleep(thread)) return;
    woken = true;
  }
}

// False: the thread ends.
bool PoolCore::sleep(PoolThread& thread) {
  using Sleep = WorkerGate<>::Sleep;
  int64_t deadline_ns = INT64_MAX;
  if (thread.is_spare()) {
    if (desk_.gate().spares_needed()) thread.needed_until_ns = monotonic_now_ns() + kSpareLinger_ns;
    deadline_ns = thread.needed_until_ns;
  }
  for (;;) {
    switch (desk_.gate().sleep(deadline_ns)) {
      case Sleep::kWoken:
        return true;
      case Sleep::kLate:
        if (desk_.gate().retire()) {
          // Those that ended before it: so of all that retire one at a time is left to join.
          for_each_record([](PoolThread& ended) { ended.join_if_ended(); });
          return false;
        }
        deadline_ns = INT64_MAX;
        continue;
      case Sleep::kClosed:
        desk_.gate().leave();
        return false;
    }
  }
}

void PoolCore::park() {
  desk_.park([this] { call_worker(); });
}

// What a free worker is about to take counts as begun: waits until it is, or all are busy. That takes a wake-up.
void PoolCore::let_free_workers_begin() const {
  constexpr int kYields = 64;
  constexpr std::chrono::microseconds kPause(50);  // then: to a thread of a lower real-time priority nothing is yielded
  uint64_t submitted = UINT64_MAX;
  for (int looks = 0;; ++looks) {
    // What comes later does not count, nor a submit that is just being refused.
    submitted = std::min(submitted, submitted_.load(std::memory_order_relaxed));
    uint64_t gone = dropped_.load(std::memory_order_relaxed);
    unsigned busy = 0;
    for_each_record([&](const PoolThread& thread) {
      const uint64_t started = thread.started.load(std::memory_order_relaxed);
      gone += started;
      if (started > thread.done.load(std::memory_order_relaxed)) ++busy;
    });
    if (gone >= submitted || busy >= size_) return;
    if (looks < kYields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPause);
    }
  }
}

void PoolCore::close() {
  let_free_workers_begin();
  Job* job = desk_.close();
  uint64_t count = 0;
  for (const Job* counted = job; counted != nullptr; counted = counted->next) ++count;
  dropped_.fetch_add(count, std::memory_order_relaxed);  // first: what is dropped may close the pool, too
  while (job != nullptr) {
    Job* const dropped = std::exchange(job, job->next);
    dropped->drop();
  }
  desk_.gate().close();
}

bool PoolCore::wait(int64_t deadline_ns) {
  if (abandoned_.load(std::memory_order_relaxed)) return false;  // the caller of abandon() orders it
  if (!desk_.gate().wait_until_left(deadline_ns)) return false;
  for_each_record([](PoolThread& thread) { thread.join(); });  // each has left, and is about to end
  return true;
}

std::vector<std::string> PoolCore::abandon() {
  abandoned_.store(true, std::memory_order_relaxed);
  std::vector<std::string> names;
  for_each_record([&names](PoolThread& thread) {
    if (thread.abandon()) names.push_back(thread.name());
  });
  return names;
}

std::vector<std::string> PoolCore::busy_threads() const {
  std::vector<std::string> names;
  for_each_record([&names](const PoolThread& thread) {
    if (thread.started.load(std::memory_order_relaxed) > thread.done.load(std::memory_order_relaxed)) names.push_back(thread.name());
  });
  return names;
}

ThreadPoolStats PoolCore::stats() const {
  ThreadPoolStats stats;
  const uint64_t submitted = submitted_.load(std::memory_order_relaxed);
  uint64_t gone = dropped_.load(std::memory_order_relaxed);
  for_each_record([&stats, &gone](const PoolThread& thread) {
    const uint64_t started = thread.started.load(std::memory_order_relaxed);
    const uint64_t done = thread.done.load(std::memory_order_relaxed);
    gone += started;
    stats.done += done;
    stats.failed += thread.failed.load(std::memory_order_relaxed);
    if (started > done) ++stats.busy;
  });
  stats.queued = submitted > gone ? submitted - gone : 0;  // the parts were read one after another
  stats.size = size_;
  stats.spare = desk_.gate().spare();
  stats.parked = desk_.gate().parked();
  return stats;
}

}  // namespace weir::internal
