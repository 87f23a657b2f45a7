#include "weir/runtime/operation.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/descriptor.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir {
namespace {

std::unique_ptr<Loop> make(const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  EXPECT_TRUE(loop.ok()) << loop.status();
  return std::move(*loop);
}

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }

 private:
  std::array<int, 2> ends_{};
};

TEST(Submit, GivesTheResult) {
  auto loop = make();
  const Pipe pipe;
  char byte = 0;
  const auto write = [&](io_uring_sqe* sqe) { io_uring_prep_write(sqe, pipe.writer(), "x", 1, 0); };
  const auto read = [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, pipe.reader(), &byte, 1, 0); };
  EXPECT_EQ(loop->run(submit(write)), 1);
  EXPECT_EQ(loop->run(submit(read)), 1);
  EXPECT_EQ(byte, 'x');
}

TEST(Submit, GivesNegativeErrnos) {
  auto loop = make();
  const auto bad = [](io_uring_sqe* sqe) { io_uring_prep_read(sqe, -1, nullptr, 1, 0); };
  EXPECT_EQ(loop->run(submit(bad)), -EBADF);
  const auto missing = [](io_uring_sqe* sqe) { io_uring_prep_openat(sqe, AT_FDCWD, "/no/such/file", O_RDONLY, 0); };
  EXPECT_EQ(loop->run(submit(missing)), -ENOENT);
  const auto unknown = [](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->opcode = 250;
  };
  EXPECT_EQ(loop->run(submit(unknown)), -EINVAL);
}

TEST(Submit, UserDataIsOverwritten) {
  auto loop = make();
  const auto nop = [](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->user_data = 12345;
  };
  EXPECT_EQ(loop->run(submit(nop)), 0);
}

class Refused : public ::testing::TestWithParam<std::pair<void (*)(io_uring_sqe*), const char*>> {};

TEST_P(Refused, NothingIsSubmittedAndTheReasonIsNamed) {
  testing::ScriptedLoop loop;
  try {
    (void)loop->run(submit(GetParam().first));
    ADD_FAILURE() << "not refused";
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find(GetParam().second), std::string::npos) << e.what();
  }
  EXPECT_EQ(loop->run(testing::operate(IORING_OP_NOP, 0)), 0);  // the loop goes on
  for (const io_uring_sqe& entry : loop.ring.seen) {
    EXPECT_TRUE(entry.opcode == IORING_OP_NOP || entry.fd == testing::FakeKernel::kWakeUpFd);
    EXPECT_EQ(entry.flags, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Entries, Refused,
    ::testing::Values(std::pair{+[](io_uring_sqe* sqe) {
                                  io_uring_prep_nop(sqe);
                                  io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK);
                                },
                                "linked"},
                      std::pair{+[](io_uring_sqe* sqe) {
                                  io_uring_prep_nop(sqe);
                                  io_uring_sqe_set_flags(sqe, IOSQE_IO_HARDLINK);
                                },
                                "linked"},
                      std::pair{+[](io_uring_sqe* sqe) {
                                  io_uring_prep_nop(sqe);
                                  io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
                                },
                                "CQE_SKIP"},
                      std::pair{+[](io_uring_sqe* sqe) { io_uring_prep_poll_multishot(sqe, 0, 1); }, "multishot"},
                      std::pair{+[](io_uring_sqe* sqe) { io_uring_prep_multishot_accept(sqe, 0, nullptr, nullptr, 0); },
                                "multishot"},
                      std::pair{+[](io_uring_sqe* sqe) { io_uring_prep_recv_multishot(sqe, 0, nullptr, 0, 0); },
                                "multishot"},
                      std::pair{+[](io_uring_sqe* sqe) { io_uring_prep_recvmsg_multishot(sqe, 0, nullptr, 0); },
                                "multishot"},
                      std::pair{+[](io_uring_sqe* sqe) {
                                  io_uring_prep_nop(sqe);
                                  sqe->opcode = 49;  // IORING_OP_READ_MULTISHOT
                                },
                                "multishot"}));

TEST(Submit, WhatPrepareThrowsComesOutOfTheAwait) {
  auto loop = make();
  const auto bad = [](io_uring_sqe*) { throw std::out_of_range("mine"); };
  EXPECT_THROW((void)loop->run(submit(bad)), std::out_of_range);
  const auto nop = [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); };
  EXPECT_EQ(loop->run(submit(nop)), 0);
}

TEST(Submit, PrepareRunsOnceAndLivesUntilTheCompletion) {
  auto loop = make();
  const Pipe pipe;
  int calls = 0;
  class Counted {
   public:
    Counted(int& calls, int fd) : calls_(calls), fd_(fd), byte_(std::make_shared<char>()) {}
    void operator()(io_uring_sqe* sqe) {
      ++calls_;
      io_uring_prep_read(sqe, fd_, byte_.get(), 1, 0);
    }
    std::shared_ptr<char> byte() const { return byte_; }

   private:
    int& calls_;
    int fd_;
    std::shared_ptr<char> byte_;
  };
  std::weak_ptr<char> byte;
  const auto test = [&]() -> Task<> {
    Counted counted(calls, pipe.reader());
    byte = counted.byte();
    JoinHandle<int> handle = spawn(submit(std::move(counted)));
    co_await sleep_for(absl::Milliseconds(1));
    EXPECT_FALSE(byte.expired());
    EXPECT_EQ(::write(pipe.writer(), "y", 1), 1);
    const int result = co_await handle;
    EXPECT_EQ(result, 1);
  };
  loop->run(test());
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(byte.expired());
}

// prepare() runs in the middle of the queue's work. What it does there to its own task and to others comes in order.
TEST(Submit, PrepareMayCancelItsOwnTask) {
  testing::ScriptedLoop loop({.sq_entries = 4, .cq_entries = 16});
  const auto test = [&]() -> Task<> {
    std::vector<JoinHandle<int>> handles(12);
    for (std::size_t i = 0; i < handles.size(); ++i) {
      const auto prepare = [&handles, i](io_uring_sqe* sqe) {
        io_uring_prep_nop(sqe);
        if (i % 2 == 0) handles[i].cancel();
      };
      handles[i] = spawn(submit(prepare));
    }
    for (std::size_t i = 0; i < handles.size(); ++i) {
      if (i % 2 == 0) {
        EXPECT_THROW((void)co_await handles[i], Cancelled);
      } else {
        EXPECT_EQ(co_await handles[i], 0);
      }
    }
  };
  loop->run(test());
  EXPECT_EQ(loop->stats().operations, 1u);  // the wake-up
}

TEST(Submit, PrepareThatThrowsAfterItCancelledItselfGivesItsException) {
  testing::ScriptedLoop loop;
  const auto test = []() -> Task<> {
    JoinHandle<int> handle;
    const auto prepare = [&handle](io_uring_sqe*) {
      handle.cancel();
      throw std::runtime_error("prepare");
    };
    handle = spawn(submit(prepare));
    EXPECT_THROW((void)co_await handle, std::runtime_error);
  };
  loop->run(test());
}

// Its own entry is half filled in: none of what it sets off may send it to the kernel.
TEST(Submit, PrepareMayCancelOthersOnAFullQueue) {
  testing::ScriptedLoop loop({.sq_entries = 2, .cq_entries = 16});
  constexpr int kOp = IORING_OP_READV;
  const auto test = [&]() -> Task<> {
    std::vector<JoinHandle<int>> others;
    for (int i = 0; i < 6; ++i) others.push_back(spawn(testing::operate(kOp, i)));
    co_await sleep_for(absl::Milliseconds(1));
    const auto prepare = [&](io_uring_sqe* sqe) {
      for (auto& other : others) other.cancel();
      io_uring_prep_nop(sqe);
      sqe->off = 77;
    };
    EXPECT_EQ(co_await submit(prepare), 0);
    for (auto& other : others) EXPECT_THROW((void)co_await other, Cancelled);
  };
  loop->run(test());
  int whole = 0;
  for (const io_uring_sqe& entry : loop.ring.seen) whole += entry.opcode == IORING_OP_NOP && entry.off == 77 ? 1 : 0;
  EXPECT_EQ(whole, 1);
  EXPECT_EQ(loop.ring.seen_count(IORING_OP_NOP), 1u);
}

TEST(Submit, WhatPrepareHasFilledInBeforeItThrowsGoesNowhere) {
  testing::ScriptedLoop loop;
  const auto test = []() -> Task<> {
    const auto prepare = [](io_uring_sqe* sqe) {
      io_uring_prep_read(sqe, 0, nullptr, 1, 0);
      sqe->user_data = 0x1234;
      sqe->flags = IOSQE_IO_LINK;
      throw std::runtime_error("prepare");
    };
    EXPECT_THROW((void)co_await submit(prepare), std::runtime_error);
    co_await sleep_for(absl::Milliseconds(1));
  };
  loop->run(test());
  ASSERT_EQ(loop.ring.seen_count(IORING_OP_NOP), 1u);
  EXPECT_EQ(loop.ring.seen.front().opcode, IORING_OP_NOP);
  EXPECT_EQ(loop.ring.seen.front().user_data, 0u);
  EXPECT_EQ(loop.ring.seen.front().flags, 0);
}

// The codes by which the kernel would restart a system call; their neighbours are left as they are.
TEST(Operation, RestartCodesAreEintr) {
  constexpr int kOp = IORING_OP_READV;
  for (const auto& [given, result] : {std::pair(-511, -511), std::pair(-512, -EINTR), std::pair(-514, -EINTR),
                                      std::pair(-516, -EINTR), std::pair(-517, -517)}) {
    testing::ScriptedLoop loop;
    loop.ring.on_enter = [answer = given](testing::ScriptedRing& ring, bool) {
      if (const io_uring_sqe* entry = ring.find(kOp)) ring.complete(*entry, answer);
    };
    EXPECT_EQ(loop->run(testing::operate(kOp, 1)), result);
  }
}

// One that is started again after its end, as a receive that is armed anew.
class Rearmed final : public internal::Operation {
 public:
  explicit Rearmed(int opcode) noexcept : Operation(Waits::kForPeer), opcode_(opcode) {}
  ~Rearmed() = default;
  void begin() { start(*internal::thread_state.engine); }
  int ends = 0;

 private:
  bool fill(io_uring_sqe& entry) noexcept override {
    entry.opcode = static_cast<uint8_t>(opcode_);
    return true;
  }
  void complete() noexcept override {
    EXPECT_EQ(result(), -ECANCELED);
    ++ends;
  }

  const int opcode_;
};

TEST(Operation, IsCancelledOnceEachTimeThatItIsStarted) {
  testing::ScriptedLoop loop;
  Rearmed operation(IORING_OP_READV);
  const auto test = [&]() -> Task<> {
    for (unsigned round = 1; round <= 3; ++round) {
      operation.begin();
      co_await sleep_for(absl::Milliseconds(1));
      operation.cancel();
      operation.cancel();
      co_await sleep_for(absl::Milliseconds(1));
      operation.cancel();  // after its end: nothing
      EXPECT_EQ(operation.ends, static_cast<int>(round));
      EXPECT_EQ(loop.ring.seen_count(IORING_OP_ASYNC_CANCEL), round);
    }
  };
  loop->run(test());
}

// Who came first has the first slot, also when one is free just as a later one starts.
TEST(Operation, SlotsAreGivenInTheOrderOfStarting) {
  constexpr int kOp = IORING_OP_READV;
  testing::ScriptedLoop loop({.sq_entries = 2, .cq_entries = 16});
  const auto test = [&]() -> Task<> {
    std::vector<JoinHandle<int>> handles;
    loop.ring.refuse(-EAGAIN);  // the third and the fourth find no slot; the fifth would
    loop.ring.refuse(-EAGAIN);
    for (int i = 0; i < 6; ++i) handles.push_back(spawn(testing::operate(kOp, i)));
    co_await sleep_for(absl::Milliseconds(1));
    while (const io_uring_sqe* entry = loop.ring.find(kOp)) loop.ring.complete(*entry, 0);
    for (auto& handle : handles) EXPECT_EQ(co_await handle, 0);
  };
  loop->run(test());
  int next = 0;
  for (const io_uring_sqe& entry : loop.ring.seen) {
    if (entry.opcode == kOp) {
      EXPECT_EQ(entry.fd, next++);
    }
  }
  EXPECT_EQ(next, 6);
}

TEST(Submit, AReadOfAPipeIsCancelledAndItsBufferFreedRightAfterwards) {
  auto loop = make();
  const Pipe pipe;
  const auto read_pipe = [&]() -> Task<> {
    const auto buffer = std::make_unique<std::array<char, 4096>>();
    const auto read = [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, pipe.reader(), buffer->data(), 4096, 0); };
    (void)co_await submit(read);
    ADD_FAILURE() << "not cancelled";
  };
  const auto test = [&]() -> Task<> {
    for (int i = 0; i < 100; ++i) {
      JoinHandle<void> handle = spawn(read_pipe());
      for (int turn = 0; turn < i % 4; ++turn) co_await yield();
      if (i % 3 == 0) co_await sleep_for(absl::Microseconds(100));
      handle.cancel();
      EXPECT_THROW(co_await handle, Cancelled);
    }
  };
  loop->run(test());
  EXPECT_EQ(::write(pipe.writer(), "z", 1), 1);  // nobody took it
  char byte = 0;
  EXPECT_EQ(::read(pipe.reader(), &byte, 1), 1);
}

class TemporaryFile {
 public:
  explicit TemporaryFile(std::size_t size) {
    const char* const folder = ::getenv("TEST_TMPDIR");
    std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/operation_test_XXXXXX";
    fd_ = ::mkostemp(path.data(), O_CLOEXEC);
    EXPECT_GE(fd_, 0);
    ::unlink(path.c_str());
    std::string content(size, '\0');
    for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i % 251);
    EXPECT_EQ(::pwrite(fd_, content.data(), size, 0), static_cast<ssize_t>(size));
  }
  ~TemporaryFile() { ::close(fd_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

TEST(Operation, TenThousandReadsInFlightOnARingOfEight) {
  auto loop = make({.sq_entries = 8, .cq_entries = 16});
  const TemporaryFile file(10'000);
  std::vector<unsigned char> bytes(10'000);
  int right = 0;
  const auto read_one = [&](std::size_t at) -> Task<> {
    const auto fill = [&bytes, &file, at](io_uring_sqe* sqe) noexcept { io_uring_prep_read(sqe, file.fd(), &bytes[at], 1, at); };
    const int result = co_await internal::plain_operation(fill);
    EXPECT_EQ(result, 1);
    right += bytes[at] == at % 251;
  };
  const auto test = [&]() -> Task<> {
    TaskGroup group;
    for (std::size_t i = 0; i < bytes.size(); ++i) group.spawn(read_one(i));
    co_await group.join();
  };
  loop->run(test());
  EXPECT_EQ(right, 10'000);
  EXPECT_EQ(loop->stats().overflows, 0u);  // files are admitted against the completion queue
}

TEST(Operation, TenThousandThatWaitForAPeerOverflowAndNoneIsLost) {
  auto loop = make({.sq_entries = 8, .cq_entries = 16});
  const Pipe pipe;
  int woken = 0;
  const auto wait_for_input = [&]() -> Task<> {
    const auto poll_in = [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, pipe.reader(), POLLIN); };
    const int result = co_await submit(poll_in);
    EXPECT_GT(result, 0);
    ++woken;
  };
  const auto test = [&]() -> Task<> {
    TaskGroup group;
    for (int i = 0; i < 10'000; ++i) group.spawn(wait_for_input());
    co_await sleep_for(absl::Milliseconds(1));
    EXPECT_EQ(::write(pipe.writer(), "x", 1), 1);
    co_await group.join();
  };
  loop->run(test());
  EXPECT_EQ(woken, 10'000);
}

// Nobody builds one of these with braces, and g++ 12 does not destroy it twice.
static_assert(!std::is_aggregate_v<internal::OperationCall<void (*)()>>);
static_assert(!std::is_copy_constructible_v<internal::Operation>);

}  // namespace
}  // namespace weir
