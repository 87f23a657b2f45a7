// The end of a loop: what runs is cancelled and waited for, shields finish, the kernel gives back every buffer, and
// whoever still knows the loop on another thread is told.
#include "weir/runtime/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/engine.h"
#include "weir/tests/testing/child_process.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir {
namespace {

std::unique_ptr<Loop> make(const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  EXPECT_TRUE(loop.ok()) << loop.status();
  return std::move(*loop);
}

Task<int> answer() { co_return 42; }

// Sets a flag when its frame is destroyed.
class Mark {
 public:
  explicit Mark(bool& gone) : gone_(gone) {}
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  ~Mark() { gone_ = true; }

 private:
  bool& gone_;
};

// How much on_unhandled was told.
LoopOptions counting_reports(int& count) {
  LoopOptions options;
  options.on_unhandled = [](std::exception_ptr, std::string_view, void* user) noexcept { ++*static_cast<int*>(user); };
  options.on_unhandled_user = &count;
  return options;
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

 private:
  std::array<int, 2> ends_{};
};

Task<> read_into_own_memory(int fd, bool& gone) {
  const Mark mark(gone);
  const auto buffer = std::make_unique<std::array<char, 4096>>();
  const auto read = [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, fd, buffer->data(), 4096, 0); };
  (void)co_await submit(read);
}

Task<> sleep_marked(absl::Duration duration, bool& gone) {
  const Mark mark(gone);
  co_await sleep_for(duration);
}

Task<> join_marked(JoinHandle<void> other, bool& gone) {
  const Mark mark(gone);
  co_await other;
}

TEST(LoopEnd, SuspendedTasksOperationsInFlightAndTimersAreTakenBack) {
  const Pipe pipe;
  int reports = 0;
  std::array<bool, 6> gone{};
  auto loop = make(counting_reports(reports));
  const auto start = [&]() -> Task<> {
    (void)spawn(read_into_own_memory(pipe.reader(), gone[0]));
    (void)spawn(sleep_marked(absl::Hours(1), gone[1]));
    (void)spawn(sleep_marked(absl::InfiniteDuration(), gone[2]));
    (void)spawn(join_marked(spawn(sleep_marked(absl::Hours(2), gone[3])), gone[4]));
    co_await sleep_for(absl::Microseconds(1));
    (void)spawn(read_into_own_memory(pipe.reader(), gone[5]));  // not submitted yet when the loop goes
    co_await yield();
  };
  loop->run(start());
  loop.reset();
  EXPECT_EQ(gone, (std::array<bool, 6>{true, true, true, true, true, true}));
  EXPECT_EQ(reports, 0);
}

TEST(LoopEnd, ShieldsAndTheCloseOfWithFinish) {
  auto loop = make();
  bool shield_finished = false;
  bool closed = false;
  const auto shielded = [&]() -> Task<> {
    for (int i = 0; i < 3; ++i) co_await sleep_for(absl::Microseconds(100));
    shield_finished = true;
  };
  const auto caller = [&]() -> Task<> { co_await shield(shielded()); };
  class Resource {
   public:
    explicit Resource(bool& closed) : closed_(closed) {}
    Task<> close() {
      co_await gather(sleep_for(absl::Microseconds(100)), sleep_for(absl::Microseconds(200)));
      EXPECT_NO_THROW((void)Loop::current());
      closed_ = true;
    }

   private:
    bool& closed_;
  };
  const auto body = [](Resource&) -> Task<> { co_await sleep_for(absl::InfiniteDuration()); };
  const auto user = [&]() -> Task<> { co_await with(Resource(closed), body); };
  const auto start = [&]() -> Task<> {
    (void)spawn(caller());
    (void)spawn(user());
    co_await sleep_for(absl::Microseconds(1));
  };
  loop->run(start());
  loop.reset();
  EXPECT_TRUE(shield_finished);
  EXPECT_TRUE(closed);
}

TEST(LoopEnd, TasksSpawnedMeanwhileAreCancelledBeforeTheyStart) {
  auto loop = make();
  bool started = false;
  const auto late = [&]() -> Task<> {
    started = true;
    co_return;
  };
  const auto spawner = [&]() -> Task<> {
    try {
      co_await sleep_for(absl::InfiniteDuration());
    } catch (const Cancelled&) {
      (void)spawn(late());
      throw;
    }
  };
  const auto start = [&]() -> Task<> {
    (void)spawn(spawner());
    co_await sleep_for(absl::Microseconds(1));
  };
  loop->run(start());
  loop.reset();
  EXPECT_FALSE(started);
}

Task<> finish_later(bool& finished) {
  for (int i = 0; i < 3; ++i) co_await sleep_for(absl::Microseconds(100));
  finished = true;
}

// A post that was accepted in time, and is delivered when the tasks are gone, spawns one that finishes all the same.
TEST(LoopEnd, WhatTheLastPostsBeginIsFinished) {
  auto loop = make();
  loop->run(yield());
  bool finished = false;
  loop->handle().post([&finished, loop = loop.get()] {
    EXPECT_FALSE(loop->handle().alive());
    (void)internal::spawn_owned(finish_later(finished), "shielded", true);
  });
  loop.reset();
  EXPECT_TRUE(finished);
}

TEST(LoopEnd, AThreadThatEndsFirstShutsItsLoopDown) {
  const Pipe pipe;
  std::array<bool, 2> gone{};
  std::unique_ptr<Loop> loop;
  std::optional<LoopHandle> handle;
  std::thread([&] {
    loop = make();
    handle.emplace(loop->handle());
    const auto start = [&]() -> Task<> {
      (void)spawn(read_into_own_memory(pipe.reader(), gone[0]));
      (void)spawn(sleep_marked(absl::Hours(1), gone[1]));
      co_await sleep_for(absl::Microseconds(1));
    };
    loop->run(start());
  }).join();
  EXPECT_EQ(gone, (std::array<bool, 2>{true, true}));
  EXPECT_FALSE(handle->alive());
  EXPECT_THROW(handle->post([] {}), LoopClosed);
  auto own = make();
  EXPECT_EQ(own->run(answer()), 42);
  loop.reset();
  EXPECT_EQ(own->run(answer()), 42);  // closing the other ring did nothing to this one
}

TEST(LoopEnd, HandlesOfTasksOutliveIt) {
  auto loop = make();
  JoinHandle<void> suspended;
  JoinHandle<int> ended;
  const auto start = [&]() -> Task<> {
    suspended = spawn(sleep_for(absl::InfiniteDuration()));
    ended = spawn(answer());
    co_await sleep_for(absl::Microseconds(1));
  };
  loop->run(start());
  loop.reset();
  EXPECT_TRUE(suspended.done());
  EXPECT_TRUE(ended.done());
  suspended.cancel();
  std::thread([handle = std::move(suspended)] { handle.cancel(); }).join();
}

TEST(LoopEnd, ThousandsOfOperationsOnASmallRing) {
  const Pipe pipe;
  auto loop = make({.sq_entries = 8, .cq_entries = 16});
  std::vector<char> bytes(5000);
  const auto start = [&]() -> Task<> {
    for (char& byte : bytes) {
      char* const to = &byte;
      (void)spawn(submit([to, &pipe](io_uring_sqe* sqe) { io_uring_prep_read(sqe, pipe.reader(), to, 1, 0); }));
    }
    co_await sleep_for(absl::Microseconds(1));
  };
  loop->run(start());
  EXPECT_GE(loop->stats().operations, 5000u);
  loop.reset();
}

TEST(LoopEnd, OverAScriptedRingNothingStaysPending) {
  testing::ScriptedLoop loop({.sq_entries = 2, .cq_entries = 4});
  const auto start = [&]() -> Task<> {
    for (int i = 0; i < 50; ++i) (void)spawn(testing::operate(IORING_OP_READV, i, i % 2 == 0));
    co_await sleep_for(absl::Milliseconds(1));
  };
  loop->run(start());
  for (int i = 0; i < 20; ++i) loop.ring.refuse(i % 2 == 0 ? -EBUSY : -EAGAIN);
  bool wake_up_cancelled = false;
  loop.ring.on_enter = [&](testing::ScriptedRing& ring, bool) {
    for (const io_uring_sqe& entry : ring.pending()) {
      wake_up_cancelled |= entry.opcode == IORING_OP_ASYNC_CANCEL && ring.count(IORING_OP_READV) == 0;
    }
  };
  loop.destroy_loop();
  EXPECT_TRUE(wake_up_cancelled);
}

// A wake-up is written at the moment in which its read is cancelled.
TEST(LoopEnd, TheWakeUpIsWrittenWhileItIsCancelled) {
  testing::ScriptedLoop loop;
  loop->run(sleep_for(absl::Milliseconds(1)));
  loop.ring.by_hand = {IORING_OP_ASYNC_CANCEL};
  loop.ring.on_enter = [&](testing::ScriptedRing& ring, bool) {
    const io_uring_sqe* cancel = ring.find(IORING_OP_ASYNC_CANCEL);
    if (cancel == nullptr) return;
    loop.kernel.write_eventfd(testing::FakeKernel::kWakeUpFd);
    ring.complete(*cancel, -ENOENT);
  };
  loop.destroy_loop();
}

TEST(LoopEnd, ATaskOfAnotherLoopMayDestroyIt) {
  bool cancelled = false;
  auto inner = Loop::create().value();
  inner->run([](bool& told) -> Task<> {
    (void)spawn([&told]() -> Task<> {
      try {
        co_await sleep_for(absl::InfiniteDuration());
      } catch (const Cancelled&) {
        told = true;
        throw;
      }
    });
    co_await yield();
  }(cancelled));
  auto outer = Loop::create().value();
  const auto destroy = [&]() -> Task<int> {
    inner.reset();
    co_await yield();
    co_return 7;
  };
  const auto at_once = [&]() -> Task<int> {
    auto third = Loop::create().value();
    co_return 8;
  };
  const auto body = [&]() -> Task<int> {
    const int first = co_await spawn(destroy());
    const int second = co_await spawn(at_once());
    co_return first + second;
  };
  EXPECT_EQ(outer->run(body()), 15);
  EXPECT_TRUE(cancelled);
}

// An operation that no task waits for, as a receive that is armed for whoever reads next.
class Unattended final : public internal::Operation {
 public:
  explicit Unattended(int fd) noexcept : Operation(Waits::kForPeer), fd_(fd) {}
  ~Unattended() = default;
  void begin() { start(*internal::thread_state.engine); }
  int ended_with = 0;

 private:
  bool fill(io_uring_sqe& entry) noexcept override {
    io_uring_prep_read(&entry, fd_, buffer_.data(), static_cast<unsigned>(buffer_.size()), 0);
    return true;
  }
  void complete() noexcept override { ended_with = result(); }

  const int fd_;
  std::array<char, 16> buffer_{};
};

TEST(LoopEnd, OperationsThatNoTaskWaitsForAreCancelled) {
  const Pipe pipe;
  std::vector<std::unique_ptr<Unattended>> operations;
  for (int i = 0; i < 40; ++i) operations.push_back(std::make_unique<Unattended>(pipe.reader()));
  auto loop = make({.sq_entries = 4, .cq_entries = 8});
  const auto start = [&]() -> Task<> {
    for (std::size_t i = 0; i < 20; ++i) operations[i]->begin();
    co_await sleep_for(absl::Milliseconds(1));
    for (std::size_t i = 20; i < 40; ++i) operations[i]->begin();  // not all have a slot yet
  };
  loop->run(start());
  loop.reset();
  for (auto& operation : operations) EXPECT_TRUE(operation->ended_with == -ECANCELED || operation->ended_with == -EINTR);
}

TEST(LoopEnd, OperationsThatAPostStartsAreCancelledToo) {
  const Pipe pipe;
  Unattended late(pipe.reader());
  auto loop = make();
  loop->run(answer());
  loop->handle().post([&] { late.begin(); });
  loop.reset();
  EXPECT_EQ(late.ended_with, -ECANCELED);
}

TEST(LoopEnd, AForkedChildMayDestroyItsCopy) {
  const Pipe pipe;
  std::array<bool, 2> gone{};
  auto loop = make();
  const auto start = [&]() -> Task<> {
    (void)spawn(read_into_own_memory(pipe.reader(), gone[0]));
    (void)spawn(sleep_marked(absl::Hours(1), gone[1]));
    co_await sleep_for(absl::Microseconds(1));
  };
  loop->run(start());
  EXPECT_EQ(testing::exit_status_of([&] {
              try {
                (void)loop->run(answer());
                return 1;
              } catch (const std::logic_error&) {
              }
              loop.reset();
              auto own = Loop::create();
              return own.ok() && (*own)->run(answer()) == 42 ? 0 : 2;
            }),
            0);
  EXPECT_EQ(gone, (std::array<bool, 2>{false, false}));
  EXPECT_EQ(loop->run(answer()), 42);
}

TEST(LoopEnd, ExceptionsOutOfRunLeaveTasksThatEndWithTheLoop) {
  bool gone = false;
  {
    auto loop = make();
    const auto test = [&]() -> Task<> {
      (void)spawn(sleep_marked(absl::Hours(1), gone));
      co_await yield();
      throw std::runtime_error("mine");
    };
    EXPECT_THROW(loop->run(test()), std::runtime_error);
    EXPECT_FALSE(gone);
  }
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace weir
