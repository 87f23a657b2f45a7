// A scope in which a pool's worker waits for somebody else: in sync_await, in a put() on a full queue, in a full stream.
//
//   {
//     Parked parked;
//     futex_wait(…);
//   }
//
// While a worker is parked its pool may let another one work in its place, so that jobs which wait for jobs behind them
// cannot lock the pool up. On any other thread it does nothing. Scopes nest; the outermost one counts. Cost: a read of a
// thread-local where the thread is no worker; about two atomic operations in all where it is one.
#pragma once

namespace weir::internal {

// A worker whose pool wants to know when it parks. Every call comes on the worker's thread.
class ParkingWorker {
 public:
  // The calling thread's; nullptr: it is no worker.
  static ParkingWorker* current() noexcept;
  static void set_current(ParkingWorker* worker) noexcept;

  void enter() noexcept {
    if (depth_++ == 0) park();
  }
  void leave() noexcept {
    if (--depth_ == 0) unpark();
  }

 protected:
  ~ParkingWorker() = default;

  virtual void park() noexcept = 0;
  virtual void unpark() noexcept = 0;

 private:
  unsigned depth_ = 0;  // how many Parked scopes are open
};

class [[nodiscard]] Parked {
 public:
  Parked() noexcept : worker_(ParkingWorker::current()) {
    if (worker_ != nullptr) worker_->enter();
  }
  Parked(const Parked&) = delete;
  Parked& operator=(const Parked&) = delete;
  ~Parked() {
    if (worker_ != nullptr) worker_->leave();
  }

 private:
  ParkingWorker* const worker_;
};

}  // namespace weir::internal
