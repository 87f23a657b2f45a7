// What the threads of a ThreadPool share: the desk and the records of the threads. It lives until the pool and
// the last thread are gone, so a thread that was abandoned touches nothing that is not there any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "weir/bridge/job_desk.h"
#include "weir/bridge/pool_thread.h"
#include "weir/bridge/thread_pool.h"

namespace weir::internal {

class PoolCore : public std::enable_shared_from_this<PoolCore> {
 public:
  PoolCore(unsigned size, std::string_view name) : size_(size), name_(name), desk_(size, ThreadPool::kSparesMax) {}
  PoolCore(const PoolCore&) = delete;
  PoolCore& operator=(const PoolCore&) = delete;
  ~PoolCore();

  // Makes the threads. Throws std::system_error, and has then ended those it made.
  void start();

  // As ThreadPool's.
  void submit(Job& job);
  void close();
  bool wait(int64_t deadline_ns);
  std::vector<std::string> abandon();
  ThreadPoolStats stats() const;
  std::vector<std::string> busy_threads() const;

  // A job of the calling worker waits for somebody, and goes on.
  void park();
  void unpark() { desk_.gate().unpark(); }

  const std::string& name() const { return name_; }
  bool is_own_thread() const {
    const PoolThread* const mine = PoolThread::mine();
    return mine != nullptr && &mine->pool() == this;
  }

 private:
  void work(PoolThread& thread);
  bool sleep(PoolThread& thread);
  void call_worker();
  void spawn(bool spare);
  PoolThread& idle_record();
  void let_free_workers_begin() const;
  void say_once(const std::string& line);

  template <class Visitor>
  void for_each_record(Visitor visit) const {
    // Pairs with idle_record(): the record is complete.
    for (PoolThread* thread = threads_.load(std::memory_order_acquire); thread != nullptr; thread = thread->next) {
      visit(*thread);
    }
  }

  const unsigned size_;
  const std::string name_;
  JobDesk<> desk_;
  std::atomic<PoolThread*> threads_{nullptr};
  std::atomic<unsigned> thread_number_{0};
  std::atomic<bool> said_{false};
  std::atomic<bool> abandoned_{false};
  alignas(64) std::atomic<uint64_t> submitted_{0};  // these two only for statistics
  std::atomic<uint64_t> dropped_{0};
};

// One line on stderr.
void say(std::string line);

}  // namespace weir::internal
