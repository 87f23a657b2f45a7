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
  if (word_.end()) pthread_detach(pthread_self());
}

void PoolThread::join() {
  word_.join([this] { pthread_join(handle_, nullptr); });
}

void PoolThread::join_if_ended() {
  word_.join_if_ended([this] { pthread_join(handle_, nullptr); });
}

bool PoolThread::abandon() {
  return word_.abandon([this] { pthread_join(handle_, nullptr); });
}

void PoolThread::park() noexcept { pool_.park(); }

void PoolThread::unpark() noexcept { pool_.unpark(); }

}  // namespace weir::internal
