// The record of one thread of a ThreadPool, and of the next one when that has ended.
//
// Records are made by whoever makes a thread, pushed onto the pool's list and never removed, so any thread may walk it
// without a lock.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "weir/bridge/parked.h"
#include "weir/bridge/thread_word.h"
#include "weir/runtime/loop_handle.h"

namespace weir::internal {

class PoolCore;

class PoolThread final : public ParkingWorker {
 public:
  PoolThread(PoolCore& pool, std::string name) : pool_(pool), name_(std::move(name)) {}
  PoolThread(const PoolThread&) = delete;
  PoolThread& operator=(const PoolThread&) = delete;

  // The calling thread's record; nullptr: it belongs to no pool.
  static PoolThread* mine() noexcept;

  PoolCore& pool() const { return pool_; }
  const std::string& name() const { return name_; }

  // ---- Whoever makes a thread ----

  // A thread may be made for it: the record is the caller's, until begin() or give_back().
  bool take() { return word_.take(); }
  void give_back() { word_.give_back(); }

  // ---- The thread ----

  // Its first and last act.
  void begin(bool spare);
  void end();

  bool is_spare() const { return is_spare_; }

  // Keeps a reference to the loop that gets a result, until the thread has nothing to do: results in a row for one loop
  // count references once.
  void keep(LoopControl& control) {
    if (kept_.get() != &control) kept_ = ControlRef::share(&control);
  }
  void let_go() { kept_ = ControlRef(); }

  // One writer, many readers.
  static void count(std::atomic<uint64_t>& counter) {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  // ---- Any thread ----

  // thread_word.h
  void join();
  void join_if_ended();
  bool abandon();

  PoolThread* next = nullptr;   // in the pool's list
  int64_t needed_until_ns = 0;  // the thread's own, if it is a spare one
  alignas(64) std::atomic<uint64_t> started{0};
  std::atomic<uint64_t> done{0}, failed{0};

 private:
  void park() noexcept override;
  void unpark() noexcept override;

  PoolCore& pool_;
  const std::string name_;
  ThreadWord<> word_;    // a new record is its maker's
  pthread_t handle_{};   // written by the thread in begin(), read by who joins it
  bool is_spare_ = false;
  ControlRef kept_;      // the thread's own
};

}  // namespace weir::internal
