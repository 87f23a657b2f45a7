// The receiver against a scripted kernel: multishots that end early, no block left, kernels without provided buffers.
#include "weir/runtime/io/receiver.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/io/receive_blocks.h"
#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir {
namespace {

using testing::ScriptedLoop;
using testing::ScriptedRing;
using tests::settle;

constexpr unsigned kBlocks = 8;

LoopOptions few_blocks() {
  LoopOptions options;
  options.receive_buffer_count = kBlocks;
  options.receive_buffer_size = 64;
  return options;
}

// A loop whose kernel has a provided buffer ring, and the test at its other end.
class ReceiverTest : public ::testing::Test {
 protected:
  ReceiverTest() : scripted_({.sq_entries = 8, .cq_entries = 64}, few_blocks()) {
    scripted_.ring.on_register = [this](unsigned opcode, void* argument, unsigned) {
      if (opcode == IORING_REGISTER_PBUF_RING) {
        const auto& request = *static_cast<io_uring_buf_reg*>(argument);
        blocks_ = reinterpret_cast<io_uring_buf_ring*>(request.ring_addr);
        entries_ = request.ring_entries;
        group_ = request.bgid;
      }
      return opcode == IORING_REGISTER_PBUF_RING ? register_result_ : 0;
    };
    scripted_.ring.by_hand = {IORING_OP_RECV, IORING_OP_POLL_ADD};
    scripted_.ring.on_enter = [this](ScriptedRing& ring, bool) { play(ring); };
  }

  // What the kernel does in one enter: the next steps, if there is a receive for them; the newest.
  void play(ScriptedRing& ring) {
    while (!script_.empty()) {
      const io_uring_sqe* receive = nullptr;
      for (const io_uring_sqe& entry : ring.pending()) receive = entry.opcode == IORING_OP_RECV ? &entry : receive;
      if (receive == nullptr) return;
      EXPECT_TRUE(receive->ioprio & IORING_RECV_MULTISHOT);
      EXPECT_TRUE(receive->flags & IOSQE_BUFFER_SELECT);
      EXPECT_EQ(receive->buf_group, group_);
      const Step step = script_.front();
      script_.erase(script_.begin());
      const unsigned more = step.goes_on ? unsigned{IORING_CQE_F_MORE} : 0U;
      if (step.bytes.empty()) {
        ring.complete(*receive, step.result, more);
        return;
      }
      ring.complete(*receive, static_cast<int>(step.bytes.size()), more | IORING_CQE_F_BUFFER | put(step.bytes) << IORING_CQE_BUFFER_SHIFT);
    }
  }

  unsigned provided() const { return static_cast<uint16_t>(__atomic_load_n(&blocks_->tail, __ATOMIC_ACQUIRE) - head_); }

  // Into the next block that is provided; its number.
  unsigned put(std::string_view bytes) {
    EXPECT_NE(provided(), 0u);
    const io_uring_buf& block = blocks_->bufs[head_++ & (entries_ - 1)];
    EXPECT_LE(bytes.size(), block.len);
    std::memcpy(reinterpret_cast<void*>(block.addr), bytes.data(), bytes.size());
    return block.bid;
  }

  void sends(std::string bytes, bool goes_on = true) { script_.emplace_back(0, std::move(bytes), goes_on); }
  void ends(int result) { script_.emplace_back(result, "", false); }

  TcpStream stream() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::listen(listener, 1), 0);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    const int end = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(end, reinterpret_cast<sockaddr*>(&address), size), 0);
    ends_.push_back(TcpStream::from_fd(end));
    const int accepted = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_EQ(::close(listener), 0);
    return TcpStream::from_fd(accepted);
  }

  static Task<std::string> text_of(TcpStream& from) {
    absl::StatusOr<Buffer> piece = co_await from.receive();
    if (!piece.ok()) co_return std::string(piece.status().message());
    co_return std::string(as_text(*piece));
  }

  class Step {
   public:
    Step(int status, std::string text, bool more) : result(status), bytes(std::move(text)), goes_on(more) {}
    int result;
    std::string bytes;
    bool goes_on;
  };

  ScriptedLoop scripted_;
  std::vector<TcpStream> ends_;
  io_uring_buf_ring* blocks_ = nullptr;
  unsigned entries_ = 0;
  unsigned group_ = 0;
  uint16_t head_ = 0;
  int register_result_ = 0;
  bool refuses_ = true;
  int kept_fd_ = -1;
  bool readable_ = true;
  int false_alarms_ = 0;
  std::string text_;
  std::vector<Step> script_;
};

TEST_F(ReceiverTest, OneRequestForManyPieces) {
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    for (int i = 0; i < 40; ++i) {
      sends("piece " + std::to_string(i));
      EXPECT_EQ(co_await text_of(from), "piece " + std::to_string(i));
    }
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 1u);
    EXPECT_EQ(provided(), kBlocks);  // each went home
  };
  scripted_->run(receive());
}

// A kernel whose multishot has read the bytes, and sleeps on the reset that came with them.
TEST_F(ReceiverTest, AResetThatTheKernelSleepsOnIsFound) {
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    const linger at_once{1, 0};
    EXPECT_EQ(::setsockopt(ends_[0].fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    ends_.clear();
    sends("last");
    EXPECT_EQ(co_await text_of(from), "last");
    co_await testing::operate(IORING_OP_NOP, 0);
    co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_ASYNC_CANCEL), 1u);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 1u);
    ends(-ECONNRESET);
    const std::string failure = co_await text_of(from);
    EXPECT_NE(failure.find("Connection reset by peer"), std::string::npos) << failure;
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 2u);
  };
  scripted_->run(receive());
}

// On Unix sockets it would sleep on an orderly end, too: one request for each piece.
TEST_F(ReceiverTest, UnixSocketsReceivePieceByPiece) {
  scripted_.ring.on_enter = [this](ScriptedRing& ring, bool) {
    const io_uring_sqe* const receive = ring.find(IORING_OP_RECV);
    if (receive == nullptr) return;
    EXPECT_EQ(receive->ioprio, IORING_RECVSEND_POLL_FIRST);
    EXPECT_TRUE(receive->flags & IOSQE_BUFFER_SELECT);
    ring.complete(*receive, 5, IORING_CQE_F_BUFFER | put("piece") << IORING_CQE_BUFFER_SHIFT);
  };
  auto receive = [this]() -> Task<> {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ends_.push_back(TcpStream::from_fd(fds[1]));
    TcpStream from = TcpStream::from_fd(fds[0]);
    for (unsigned i = 1; i <= 3; ++i) {
      EXPECT_EQ(co_await text_of(from), "piece");
      EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), i);
    }
  };
  scripted_->run(receive());
}

TEST_F(ReceiverTest, ARequestThatTheKernelEndsEarlyIsMadeAgain) {
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    sends("with the last bytes", false);
    EXPECT_EQ(co_await text_of(from), "with the last bytes");
    ends(-ECANCELED);  // without a reason
    ends(-EINTR);
    sends("and again");
    EXPECT_EQ(co_await text_of(from), "and again");
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 4u);
    sends("a", true);
    sends("b", false);
    ends(0);
    EXPECT_EQ(co_await text_of(from), "a");
    EXPECT_EQ(co_await text_of(from), "b");
    EXPECT_EQ(co_await text_of(from), "");
  };
  scripted_->run(receive());
}

TEST_F(ReceiverTest, AnEndWhileNobodyWaitsIsKept) {
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    sends("last");
    ends(-ECONNRESET);
    EXPECT_EQ(co_await text_of(from), "last");
    co_await testing::operate(IORING_OP_NOP, 0);
    const std::string failure = co_await text_of(from);
    EXPECT_NE(failure.find("Connection reset by peer"), std::string::npos) << failure;
    ends(0);
    EXPECT_EQ(co_await text_of(from), "");
  };
  scripted_->run(receive());
}

// Four unread: the kernel is told to stop, what it has posted meanwhile is kept, and the next reader lets it go on.
TEST_F(ReceiverTest, StopsAtFourUnread) {
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    for (const char* piece : {"0", "1", "2", "3"}) sends(piece);
    EXPECT_EQ(co_await text_of(from), "0");
    co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_ASYNC_CANCEL), 0u);  // three
    for (const char* piece : {"4", "5"}) sends(piece);
    co_await testing::operate(IORING_OP_NOP, 0);
    co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_ASYNC_CANCEL), 1u);
    EXPECT_EQ(scripted_.ring.count(IORING_OP_RECV), 0u);
    for (const char* piece : {"1", "2", "3", "4", "5"}) EXPECT_EQ(co_await text_of(from), piece);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 1u);
    sends("6");
    EXPECT_EQ(co_await text_of(from), "6");
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 2u);
  };
  scripted_->run(receive());
}

// Unread bytes do not keep the last blocks.
TEST_F(ReceiverTest, UnreadBytesLeaveTheLastBlocksToOthers) {
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    std::string expected;
    for (unsigned i = 0; i < kBlocks; ++i) {
      sends(std::to_string(i));
      if (i > 0) expected += std::to_string(i);
    }
    EXPECT_EQ(co_await text_of(from), "0");
    co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(provided(), kBlocks / 2);  // four keep theirs
    std::string received;
    while (received.size() < expected.size()) received += co_await text_of(from);
    EXPECT_EQ(received, expected);
    EXPECT_EQ(provided(), kBlocks);
  };
  scripted_->run(receive());
}

TEST_F(ReceiverTest, WithoutABlockItWaitsForOneThatComesHome) {
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    sends("first");
    ends(-ENOBUFS);
    Buffer held = (co_await from.receive()).value();
    co_await testing::operate(IORING_OP_NOP, 0);
    // The others are all taken: here, by the test.
    const uint16_t all = __atomic_load_n(&blocks_->tail, __ATOMIC_ACQUIRE);
    EXPECT_EQ(provided(), kBlocks - 1);
    sends("second");
    EXPECT_EQ(co_await text_of(from), "second");  // an ENOBUFS while nobody waited is no news
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 2u);
    held = Buffer();
    EXPECT_NE(__atomic_load_n(&blocks_->tail, __ATOMIC_ACQUIRE), all);
  };
  scripted_->run(receive());
}

TEST_F(ReceiverTest, AsManyGoOnAsThereAreBlocks) {
  auto receive = [this]() -> Task<> {
    std::vector<TcpStream> streams;
    std::vector<Buffer> held;
    streams.push_back(stream());
    for (unsigned i = 0; i < kBlocks; ++i) {
      sends("x");
      held.push_back((co_await streams[0].receive()).value());
    }
    EXPECT_EQ(provided(), 0u);
    std::vector<JoinHandle<std::string>> waiting;
    for (int i = 0; i < 3; ++i) {
      streams.push_back(stream());
      script_.clear();
    }
    // The kernel has no block for any of them.
    scripted_.ring.on_enter = [this](ScriptedRing& ring, bool) {
      if (!refuses_) return;
      const std::vector<io_uring_sqe> pending = ring.pending();
      for (const io_uring_sqe& entry : pending) {
        if (entry.opcode == IORING_OP_RECV && entry.fd != kept_fd_) ring.complete(entry, -ENOBUFS);
      }
    };
    kept_fd_ = streams[0].fd();
    for (int i = 1; i <= 3; ++i) waiting.push_back(spawn(text_of(streams[i])));
    co_await settle();
    co_await testing::operate(IORING_OP_NOP, 0);
    co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 4u);
    for (int i = 0; i < 10; ++i) co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 4u);  // no busy loop
    refuses_ = false;
    held.pop_back();
    co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 5u);  // one block, one of them
    // It did not need the block: the next one may.
    const std::vector<io_uring_sqe> pending = scripted_.ring.pending();
    for (const io_uring_sqe& entry : pending) {
      if (entry.opcode == IORING_OP_RECV && entry.fd == streams[1].fd()) scripted_.ring.complete(entry, 0);
    }
    EXPECT_EQ(co_await waiting[0], "");
    co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 6u);
    waiting[1].cancel();
    EXPECT_THROW((void)co_await waiting[1], Cancelled);
    co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.seen_count(IORING_OP_RECV), 7u);
    waiting[2].cancel();
    EXPECT_THROW((void)co_await waiting[2], Cancelled);
  };
  scripted_->run(receive());
}

TEST_F(ReceiverTest, BytesThatComeDuringACancelAreTheResult) {
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    scripted_.ring.by_hand.insert(IORING_OP_ASYNC_CANCEL);
    auto receiving = spawn(text_of(from));
    co_await settle();
    co_await testing::operate(IORING_OP_NOP, 0);
    receiving.cancel();
    co_await testing::operate(IORING_OP_NOP, 0);
    const io_uring_sqe* cancel = scripted_.ring.find(IORING_OP_ASYNC_CANCEL);
    EXPECT_NE(cancel, nullptr);
    const io_uring_sqe* request = scripted_.ring.find(IORING_OP_RECV);
    const unsigned first = put("one");
    scripted_.ring.complete(*request, 3, IORING_CQE_F_MORE | IORING_CQE_F_BUFFER | first << IORING_CQE_BUFFER_SHIFT);
    request = scripted_.ring.find(IORING_OP_RECV);
    const unsigned second = put("two");
    scripted_.ring.complete(*request, 3, IORING_CQE_F_BUFFER | second << IORING_CQE_BUFFER_SHIFT);
    cancel = scripted_.ring.find(IORING_OP_ASYNC_CANCEL);
    scripted_.ring.complete(*cancel, -ENOENT);
    EXPECT_EQ(co_await receiving, "one");
    EXPECT_EQ(co_await text_of(from), "two");
  };
  scripted_->run(receive());
}

// Before 5.19 there are no provided buffer rings, before 6.0 no multishot receives.
class OldKernels : public ReceiverTest, public ::testing::WithParamInterface<bool> {};

TEST_P(OldKernels, ReceivePlainly) {
  const bool has_blocks = GetParam();
  if (!has_blocks) register_result_ = -EINVAL;
  scripted_.ring.on_enter = [this](ScriptedRing& ring, bool) {
    if (const io_uring_sqe* const poll = ring.find(IORING_OP_POLL_ADD); poll != nullptr && readable_) ring.complete(*poll, POLLIN);
    const io_uring_sqe* const receive = ring.find(IORING_OP_RECV);
    if (receive == nullptr) return;
    if (receive->ioprio != 0 || receive->flags != 0) return ring.complete(*receive, -EINVAL);
    EXPECT_EQ(receive->len, 64u);
    if (false_alarms_-- > 0) return ring.complete(*receive, -EAGAIN);
    std::memcpy(reinterpret_cast<void*>(receive->addr), "bytes", 5);
    ring.complete(*receive, text_.empty() ? 0 : static_cast<int>(text_.size()));
  };
  auto receive = [this]() -> Task<> {
    TcpStream from = stream();
    readable_ = false;
    auto receiving = spawn(text_of(from));
    for (int i = 0; i < 3; ++i) co_await testing::operate(IORING_OP_NOP, 0);
    EXPECT_EQ(scripted_.ring.count(IORING_OP_POLL_ADD), 1u);  // idle: no block is in use
    receiving.cancel();
    EXPECT_THROW((void)co_await receiving, Cancelled);
    readable_ = true;
    text_ = "bytes";
    false_alarms_ = 1;
    EXPECT_EQ(co_await text_of(from), "bytes");
    std::vector<Buffer> held;
    for (unsigned i = 0; i < kBlocks; ++i) held.push_back((co_await from.receive()).value());
    auto waiting = spawn(text_of(from));
    co_await settle();
    EXPECT_FALSE(waiting.done());
    held.pop_back();
    EXPECT_EQ(co_await waiting, "bytes");
    text_.clear();
    EXPECT_EQ(co_await text_of(from), "");
  };
  scripted_->run(receive());
}

INSTANTIATE_TEST_SUITE_P(Receiver, OldKernels, ::testing::Bool());

// Armed requests of streams that outlive the loop: it cancels them, and does not wait for a peer.
TEST_F(ReceiverTest, TheLoopEndsWhileTheKernelReceives) {
  std::vector<TcpStream> streams;
  Buffer kept;
  auto receive = [&]() -> Task<> {
    for (int i = 0; i < 3; ++i) {
      streams.push_back(stream());
      sends("x");
      kept = (co_await streams.back().receive()).value();
    }
  };
  scripted_->run(receive());
  EXPECT_EQ(scripted_.ring.count(IORING_OP_RECV), 3u);
  scripted_.destroy_loop();
  EXPECT_EQ(as_text(kept), "x");
}

}  // namespace
}  // namespace weir
