#include "weir/runtime/io/receiver.h"

#include <sys/socket.h>

#include <cerrno>
#include <limits>
#include <stdexcept>
#include <utility>

#include "weir/runtime/engine.h"
#include "weir/runtime/io/connection.h"
#include "weir/runtime/io/receive_blocks.h"
#include "weir/runtime/kernel.h"

namespace weir::internal {
namespace {

constexpr unsigned kTakesMax = 128;  // in a row, before the others get their turn
thread_local constinit unsigned takes = 0;

}  // namespace

Receiver::Receiver(Connection& connection, ReceiveBlocks& blocks) noexcept
    : Operation(Waits::kForPeer), connection_(connection), blocks_(&blocks), multishot_(connection.peer().family() != AF_UNIX) {
  blocks.retain();
}

Receiver::~Receiver() { blocks_->release(); }

bool Receiver::Next::await_ready() {
  Root::current().throw_if_interrupted();
  answered_ = receiver_.take(into_, result_);
  return answered_ && ++takes % kTakesMax != 0;
}

void Receiver::Next::await_suspend(std::coroutine_handle<> point) noexcept {
  if (answered_) return YieldAwaiter().await_suspend(point);
  root_ = thread_state.root;
  root_->wait(point, *this);
  receiver_.wait(*this);
}

int Receiver::Next::await_resume() {
  if (result_ == -ECANCELED && root_ != nullptr && root_->interrupted()) throw Cancelled();
  return result_;
}

bool Receiver::take(Buffer& into, int& result) noexcept {
  if (has_unread()) {
    into = std::move(unread_[unread_next_++]);
    if (!has_unread()) {
      unread_next_ = 0;
      unread_.clear();
      if (unread_.capacity() > 2 * kUnreadMax) unread_ = std::vector<Buffer>();
    }
    result = static_cast<int>(into.size());
    return true;
  }
  if (!std::exchange(has_end_, false)) return false;
  result = end_;
  return true;
}

void Receiver::put_back(Buffer rest) {
  if (unread_next_ != 0) {
    unread_[--unread_next_] = std::move(rest);
  } else {
    unread_.insert(unread_.begin(), std::move(rest));
  }
}

void Receiver::wait(Next& reader) noexcept {
  reader_ = &reader;
  if (!armed_) arm();  // else it is armed, or the terminal completion of a stop is to come
}

void Receiver::reader_gives_up() noexcept {
  if (armed_) return cancel();  // complete() follows
  if (std::exchange(waits_for_block_, false)) blocks_->no_longer_wait(*this);
  answer(-ECANCELED);
}

void Receiver::arm() noexcept {
  connection_.retain();
  armed_ = true;
  first_piece_ = true;
  start(blocks_->engine(), connection_);
}

bool Receiver::fill(io_uring_sqe& entry) noexcept {
  io_uring_prep_recv(&entry, connection_.fd(), nullptr, 0, 0);
  if (multishot_) entry.ioprio |= IORING_RECV_MULTISHOT;
  entry.ioprio |= IORING_RECVSEND_POLL_FIRST;  // asks for a block only when there are bytes
  entry.flags |= IOSQE_BUFFER_SELECT;
  entry.buf_group = ReceiveBlocks::kGroup;
  return true;
}

void Receiver::more(int result, unsigned flags) noexcept {
  arrived(result, flags);
  has_heard();
  if (std::exchange(first_piece_, false) && may_oversleep(flags)) cancel();  // armed again, it finds the end
}

// The bytes, and the connection's reset after them, were there when the request was armed: it has read the bytes, has seen
// no more of them, and waits for news that does not come.
bool Receiver::may_oversleep(unsigned flags) noexcept {
  return (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0 && connection_.kernel().hung_up(connection_.fd());
}

void Receiver::complete() noexcept {
  armed_ = false;
  if (result() >= 0 && (completion_flags() & IORING_CQE_F_BUFFER) != 0) arrived(result(), completion_flags());
  if (result() <= 0) ended(result());
  has_heard();
  blocks_->let_go_on();  // blocks may have come home since the kernel found none
  connection_.release();  // may destroy this
}

void Receiver::arrived(int size, unsigned flags) noexcept {
  if ((flags & IORING_CQE_F_BUFFER) == 0) return;
  Buffer piece = blocks_->lease(flags >> IORING_CQE_BUFFER_SHIFT, static_cast<std::size_t>(size));
  if (size <= 0) return;
  if (reader_ != nullptr) {
    reader_->into_ = std::move(piece);
    return answer(size);
  }
  unread_.push_back(blocks_->scarce() ? BufferAccess::copy_of(piece) : std::move(piece));
  if (armed_ && unread() >= kUnreadMax) cancel();
}

// The request is over, without bytes.
void Receiver::ended(int result) noexcept {
  const bool stopped = result == -ECANCELED || result == -EINTR;
  if (reader_ == nullptr) {
    if (stopped || result == -ENOBUFS) return;
    end_ = result;
    has_end_ = true;
  } else if (connection_.closing() || reader_->root_->interrupted()) {
    answer(stopped || result == -ENOBUFS ? -ECANCELED : result);
  } else if (stopped) {
    arm();  // it was told to stop before this reader came
  } else if (result == -ENOBUFS) {
    waits_for_block_ = true;
    blocks_->wait(*this);
  } else {
    answer(result);
  }
}

void Receiver::answer(int result) noexcept { std::exchange(reader_, nullptr)->answer(result); }

void Receiver::go_on() noexcept {
  waits_for_block_ = false;
  goes_on_ = true;
  arm();
}

void Receiver::has_heard() noexcept {
  if (std::exchange(goes_on_, false)) blocks_->has_gone_on();
}

void Receiver::descriptor_closes() noexcept {
  if (!std::exchange(waits_for_block_, false)) return;
  blocks_->no_longer_wait(*this);
  answer(-ECANCELED);
}

void Receiver::check_here() const {
  if (!armed_ || (thread_state.engine != nullptr && &thread_state.engine->control() == blocks_->control())) return;
  throw std::logic_error("receive(): another loop receives on this stream; release() it there, and take it over with from_fd() here");
}

void Receiver::move_to(ReceiveBlocks& blocks) {
  check_here();
  blocks.retain();
  std::exchange(blocks_, &blocks)->release();
}

void Receiver::stop_for_good() {
  if (armed_ && reader_ == nullptr && thread_state.engine != nullptr && &thread_state.engine->control() == blocks_->control()) {
    Submissions& submissions = thread_state.engine->submissions();
    cancel();
    for (int tries = 0; armed_ && tries < 8; ++tries) {  // one, but for a kernel that says "later"
      submissions.enter(false, 0);
      submissions.reap(std::numeric_limits<unsigned>::max());
    }
  }
  if (!has_unread()) return;
  throw std::logic_error("release(): bytes that the kernel has received would be lost; receive() or read() them first");
}

}  // namespace weir::internal
