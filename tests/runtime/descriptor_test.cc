#include "weir/runtime/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/io.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir::internal {
namespace {

using testing::ScriptedLoop;
using testing::ScriptedRing;

constexpr int kOp = IORING_OP_READV;  // answered by nobody but the test

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// The reader's end of a pipe, owned; the writer's, plain.
class OwnedPipe {
 public:
  OwnedPipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    fd = ends[0];
    writer = ends[1];
    reader = OwnedDescriptor(fd, Descriptor::Kind::kPeer);
  }
  ~OwnedPipe() { ::close(writer); }
  OwnedPipe(const OwnedPipe&) = delete;
  OwnedPipe& operator=(const OwnedPipe&) = delete;

  OwnedDescriptor reader;
  int fd = -1;
  int writer = -1;
};

Task<int> read_byte(Descriptor& descriptor, char* byte) {
  const auto fill = [byte](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_read(sqe, fd, byte, 1, 0); };
  auto call = descriptor_operation(descriptor, fill);
  co_return co_await std::move(call);
}

std::unique_ptr<Loop> make() {
  auto loop = Loop::create({.sq_entries = 8, .cq_entries = 16});
  EXPECT_TRUE(loop.ok()) << loop.status();
  return std::move(*loop);
}

TEST(Descriptor, IsClosedByItsOwner) {
  OwnedPipe pipe;
  EXPECT_TRUE(is_open(pipe.fd));
  EXPECT_EQ(pipe.reader.fd(), pipe.fd);
  pipe.reader = OwnedDescriptor();
  EXPECT_FALSE(is_open(pipe.fd));
  EXPECT_EQ(pipe.reader.fd(), -1);
}

TEST(Descriptor, IsReleasedToTheCaller) {
  OwnedPipe pipe;
  EXPECT_EQ(pipe.reader.release(), pipe.fd);
  EXPECT_TRUE(is_open(pipe.fd));
  EXPECT_EQ(pipe.reader.release(), -1);
  ::close(pipe.fd);
}

TEST(Descriptor, WhatWasClosedOrMovedFromIsNamed) {
  const OwnedDescriptor none;
  try {
    (void)none.get("read");
    ADD_FAILURE();
  } catch (const std::logic_error& e) {
    EXPECT_NE(std::string(e.what()).find("read"), std::string::npos);
  }
}

TEST(Descriptor, ClosingEndsWhatIsInFlight) {
  OwnedPipe pipe;
  auto loop = make();
  const auto test = [&]() -> Task<> {
    char byte = 0;
    JoinHandle<int> reader = spawn(read_byte(pipe.reader.get("read"), &byte));
    co_await sleep_for(absl::Microseconds(1));
    EXPECT_THROW((void)pipe.reader.release(), std::logic_error);  // in flight
    const absl::Status closed = co_await pipe.reader.close("close");
    EXPECT_TRUE(closed.ok()) << closed;
    EXPECT_FALSE(is_open(pipe.fd));
    const int result = co_await reader;
    EXPECT_EQ(result, -ECANCELED);  // not cancelled itself: it sees the result
    const absl::Status again = co_await pipe.reader.close("close");
    EXPECT_TRUE(again.ok()) << again;
  };
  loop->run(test());
}

TEST(Descriptor, DroppingTheOwnerEndsWhatIsInFlightAndClosesAfterwards) {
  OwnedPipe pipe;
  auto loop = make();
  const auto test = [&]() -> Task<> {
    char byte = 0;
    JoinHandle<int> reader = spawn(read_byte(pipe.reader.get("read"), &byte));
    co_await sleep_for(absl::Microseconds(1));
    pipe.reader = OwnedDescriptor();
    EXPECT_TRUE(is_open(pipe.fd));  // the operation holds it
    const int result = co_await reader;
    EXPECT_EQ(result, -ECANCELED);
    EXPECT_FALSE(is_open(pipe.fd));
  };
  loop->run(test());
}

TEST(Descriptor, TheNumberIsGivenBackAfterTheLastCompletion) {
  ScriptedLoop loop;
  loop.ring.by_hand = {IORING_OP_ASYNC_CANCEL};
  bool closed_early = false;
  int waits = 0;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool wait) {
    closed_early |= ring.count(kOp) != 0 && ring.seen_count(IORING_OP_CLOSE) != 0;
    waits += wait;
    // The cancels are answered first, then the operations, one a wait.
    while (const io_uring_sqe* cancel = ring.find(IORING_OP_ASYNC_CANCEL)) ring.complete(*cancel, 0);
    if (const io_uring_sqe* operation = ring.find(kOp); operation != nullptr && wait && waits > 2) ring.complete(*operation, -ECANCELED);
  };
  const auto operate_on = [](Descriptor& descriptor) -> Task<int> {
    const auto fill = [](io_uring_sqe* sqe, int fd) noexcept {
      sqe->opcode = kOp;
      sqe->fd = fd;
    };
    auto call = descriptor_operation(descriptor, fill);
    co_return co_await std::move(call);
  };
  const auto test = [&]() -> Task<> {
    OwnedDescriptor owned(123'456, Descriptor::Kind::kPeer);
    std::vector<JoinHandle<int>> handles;
    for (int i = 0; i < 3; ++i) handles.push_back(spawn(operate_on(owned.get("operate"))));
    co_await sleep_for(absl::Milliseconds(1));
    const absl::Status closed = co_await owned.close("close");
    EXPECT_TRUE(closed.ok()) << closed;
    for (auto& handle : handles) {
      const int result = co_await handle;
      EXPECT_EQ(result, -ECANCELED);
    }
  };
  loop->run(test());
  EXPECT_FALSE(closed_early);
  EXPECT_EQ(loop.ring.seen_count(IORING_OP_CLOSE), 1u);
}

TEST(Descriptor, NothingStartsOnceItIsClosing) {
  ScriptedLoop loop;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const auto test = [&]() -> Task<> {
    OwnedDescriptor owned(ends[0], Descriptor::Kind::kPeer);
    Descriptor& descriptor = owned.get("read");
    descriptor.retain();
    owned = OwnedDescriptor();
    char byte = 0;
    const int result = co_await read_byte(descriptor, &byte);
    EXPECT_EQ(result, -ECANCELED);
    descriptor.release();
    EXPECT_FALSE(is_open(ends[0]));
  };
  loop->run(test());
  EXPECT_EQ(loop.ring.seen_count(IORING_OP_READ), 0u);
  ::close(ends[1]);
}

TEST(Descriptor, ClosingIsNotInterruptedByACancel) {
  OwnedPipe pipe;
  auto loop = make();
  const auto test = [&]() -> Task<> {
    char byte = 0;
    JoinHandle<int> reader = spawn(read_byte(pipe.reader.get("read"), &byte));
    co_await sleep_for(absl::Microseconds(1));
    JoinHandle<absl::Status> closer = spawn(pipe.reader.close("close"));
    co_await yield();
    closer.cancel();
    const absl::Status closed = co_await closer;
    EXPECT_TRUE(closed.ok()) << closed;
    EXPECT_FALSE(is_open(pipe.fd));
    (void)co_await reader;
  };
  loop->run(test());
}

TEST(Descriptor, IsDroppedOnAnotherThread) {
  const int before = testing::open_descriptors();
  for (int round = 0; round < testing::storm(200); ++round) {
    OwnedPipe pipe;
    auto loop = make();
    std::thread dropper;
    const auto test = [&]() -> Task<> {
      char byte = 0;
      JoinHandle<int> reader = spawn(read_byte(pipe.reader.get("read"), &byte));
      co_await sleep_for(absl::Microseconds(1));
      dropper = std::thread([&pipe] { pipe.reader = OwnedDescriptor(); });
      const int result = co_await reader;
      EXPECT_EQ(result, -ECANCELED);
    };
    loop->run(test());
    if (round % 2 == 0) loop.reset();  // the other thread may not have returned from its push yet
    dropper.join();
    EXPECT_FALSE(is_open(pipe.fd));
  }
  EXPECT_EQ(testing::open_descriptors(), before);
}

TEST(Descriptor, IsHandedOverToAnotherLoop) {
  OwnedPipe pipe;
  const auto test = [&]() -> Task<> {
    EXPECT_EQ(::write(pipe.writer, "x", 1), 1);
    char byte = 0;
    const int result = co_await read_byte(pipe.reader.get("read"), &byte);
    EXPECT_EQ(result, 1);
  };
  make()->run(test());
  std::thread([&] { make()->run(test()); }).join();
  pipe.reader = OwnedDescriptor();
  EXPECT_FALSE(is_open(pipe.fd));
}

TEST(Descriptor, TheLoopGoesFirst) {
  OwnedPipe pipe;
  char byte = 0;
  {
    auto loop = make();
    const auto start = [&]() -> Task<> {
      (void)spawn(read_byte(pipe.reader.get("read"), &byte));
      co_await sleep_for(absl::Microseconds(1));
    };
    loop->run(start());
  }
  EXPECT_TRUE(is_open(pipe.fd));
  EXPECT_EQ(::write(pipe.writer, "x", 1), 1);
  EXPECT_EQ(::read(pipe.fd, &byte, 1), 1);
  pipe.reader = OwnedDescriptor();
  EXPECT_FALSE(is_open(pipe.fd));
}

}  // namespace
}  // namespace weir::internal
