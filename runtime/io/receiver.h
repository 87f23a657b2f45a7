// The receiving end of one connection: a multishot receive, and the blocks that nobody has taken yet.
//
//   idle ----> armed <----> waits for a block
//     ^          |
//     +----------+  ended by the kernel (the end, an error, no block left), or stopped
//
// It is armed by the first reader that finds nothing, and stays so: the kernel posts a completion for each piece that
// comes. (Unix sockets are armed for one piece at a time: a multishot may read the last bytes and then sleep on the end,
// which is there already. On TCP only a reset can be overslept like that, and only by the first piece; see
// may_oversleep().) A piece goes to the reader that waits; without one it is unread. At kUnreadMax of them the kernel is
// told to stop (it may have posted more by then, they are kept); it is armed again by a reader that finds nothing. While
// the loop's blocks are scarce, unread bytes are moved to memory of their own, so that connections that nobody reads from
// do not starve the others.
// A reader that is cancelled stops the kernel, too, and waits for the terminal completion: nothing is in flight afterwards.
// Bytes that came meanwhile are its result, or unread: none is lost.
//
// It belongs to its Connection, which it holds while armed. Loop's thread.
#pragma once

#include <coroutine>
#include <cstddef>
#include <vector>

#include "weir/runtime/io/buffer.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/root.h"

namespace weir::internal {

class Connection;
class ReceiveBlocks;

class Receiver final : public Operation {
 public:
  static constexpr std::size_t kUnreadMax = 4;

  Receiver(Connection& connection, ReceiveBlocks& blocks) noexcept;
  ~Receiver();

  // Awaited by one reader at a time. Gives the number of bytes in `into`, 0 at the end, or a negative errno; throws
  // Cancelled when the task was cancelled and no bytes came.
  class Next final : public Suspension {
   public:
    Next(Receiver& receiver, Buffer& into) noexcept : receiver_(receiver), into_(into) {}
    bool await_ready();
    void await_suspend(std::coroutine_handle<> point) noexcept;
    int await_resume();
    void cancel() noexcept override { receiver_.reader_gives_up(); }

   private:
    friend class Receiver;
    void answer(int result) noexcept {
      result_ = result;
      root_->ready();
    }

    Receiver& receiver_;
    Buffer& into_;
    Root* root_ = nullptr;
    int result_ = 0;
    bool answered_ = false;
  };
  Next next(Buffer& into) noexcept { return Next(*this, into); }

  // What is left of a piece; the next reader's.
  void put_back(Buffer rest);

  // Armed, or with something for the next reader.
  bool active() const noexcept { return armed_ || waits_for_block_ || has_unread() || has_end_; }
  bool armed() const noexcept { return armed_; }
  std::size_t unread() const noexcept { return unread_.size() - unread_next_; }

  bool belongs_to(const ReceiveBlocks& blocks) const noexcept { return blocks_ == &blocks; }
  // Another loop takes the connection over.
  void move_to(ReceiveBlocks& blocks);
  // std::logic_error when armed, on another loop than the one that runs here.
  void check_here() const;
  // The number is about to be given away.
  void stop_for_good();
  // The connection closes.
  void descriptor_closes() noexcept;

  // There may be a block now.
  void go_on() noexcept;

 private:
  friend class ReceiveBlocks;

  bool fill(io_uring_sqe& entry) noexcept override;
  void more(int result, unsigned flags) noexcept override;
  void complete() noexcept override;

  bool has_unread() const noexcept { return unread_next_ != unread_.size(); }
  bool take(Buffer& into, int& result) noexcept;
  void wait(Next& reader) noexcept;
  void reader_gives_up() noexcept;
  void arm() noexcept;
  void arrived(int size, unsigned flags) noexcept;
  void ended(int result) noexcept;
  void answer(int result) noexcept;
  void has_heard() noexcept;
  bool may_oversleep(unsigned flags) noexcept;

  Connection& connection_;
  ReceiveBlocks* blocks_;  // retained
  Next* reader_ = nullptr;
  std::vector<Buffer> unread_;       // from unread_next_ on
  std::size_t unread_next_ = 0;
  Receiver* previous_ = nullptr;     // among those that wait for a block
  Receiver* following_ = nullptr;
  int end_ = 0;                      // how it ended while nobody waited: 0, or a negative errno
  bool has_end_ = false;
  const bool multishot_;
  bool first_piece_ = false;         // of this arming
  bool armed_ = false;
  bool waits_for_block_ = false;
  bool goes_on_ = false;             // counted by the blocks until the kernel is heard of
};

}  // namespace weir::internal
