#include "weir/bridge/pool_thread.h"

#include "weir/bridge/pool_core.h"

namespace weir::internal {
namespace {

constinit thread_local PoolThread* my_record = nullptr;

}  // namespace

PoolThread* PoolThread::mine() noexcept { return my_record; }

void PoolThread::begin(bool spare) {
  handle_ = pthread_self();
  is_spare_ = spare;
  pthread_setname_np(handle_, name_.c_str());
  set_current(this);
  my_record = this;
}

void PoolThread::end() {
  my_record = nullptr;
  set_current(nullptr);
  // Pairs with join(), join_if_ended() and abandon(): who comes second sees the other.
  if ((state_.fetch_or(kEnded, std::memory_order_acq_rel) & kAbandoned) != 0) pthread_detach(pthread_self());
  futex_wake(state_, kWakeAll);
}

void PoolThread::join() {
  for (;;) {
    const uint32_t state = state_.load(std::memory_order_acquire);  // pairs with end() and become_idle()
    if (state == kIdle || (state & kAbandoned) != 0) return;
    if (state == (kAlive | kEnded)) {
      join_if_ended();
    } else {
      futex_wait(state_, state);
    }
  }
}

void PoolThread::join_if_ended() {
  uint32_t expected = kAlive | kEnded;
  // Pairs with end(): handle_ is written.
  if (!state_.compare_exchange_strong(expected, kJoining, std::memory_order_acquire)) return;
  pthread_join(handle_, nullptr);
  become_idle();
}

bool PoolThread::abandon() {
  uint32_t state = state_.load(std::memory_order_acquire);
  while (state == kAlive) {
    // Pairs with end(): who comes second sees the other.
    if (state_.compare_exchange_weak(state, kAlive | kAbandoned, std::memory_order_acq_rel)) return true;
  }
  join_if_ended();
  return false;
}

void PoolThread::park() noexcept { pool_.park(); }

void PoolThread::unpark() noexcept { pool_.unpark(); }

}  // namespace weir::internal
