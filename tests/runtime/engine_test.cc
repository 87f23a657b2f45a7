#include "weir/runtime/engine.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/sync/event.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir {
namespace {

using testing::FakeKernel;
using testing::operate;
using testing::ScriptedLoop;
using testing::ScriptedRing;

constexpr int kOp = IORING_OP_READV;  // answered by nobody but the test

Task<> yields(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

TEST(Engine, NoEnterWhenThereIsNothingToDo) {
  ScriptedLoop loop;
  loop->run(yields(10'000));
  EXPECT_EQ(loop->stats().enters, 0u);
  EXPECT_EQ(loop.kernel.clock_reads, 1);  // in the constructor
}

TEST(Engine, OneEnterATurn) {
  ScriptedLoop loop({.sq_entries = 64, .cq_entries = 256});
  loop->run([]() -> Task<> {
    for (int turn = 0; turn < 100; ++turn) {
      const int result = co_await operate(IORING_OP_NOP, turn);
      EXPECT_EQ(result, 0);
    }
  }());
  const LoopStats stats = loop->stats();
  EXPECT_EQ(stats.enters, 100u);
  EXPECT_EQ(stats.turns, 101u);
  EXPECT_EQ(stats.submissions, 101u);  // and the wake-up
  EXPECT_EQ(stats.completions, 100u);
  EXPECT_EQ(loop.kernel.clock_reads, 1);
}

TEST(Engine, TimeoutsOfATurnShareALookAtTheClock) {
  ScriptedLoop loop;
  loop->run([]() -> Task<> {
    for (int i = 0; i < 100; ++i) {
      const absl::Status status = co_await timeout(absl::Seconds(1), yields(0));
      EXPECT_TRUE(status.ok());
    }
  }());
  EXPECT_EQ(loop.kernel.clock_reads, 1) << "work that ends in its turn needs no deadline";
  loop->run([]() -> Task<> {
    TaskGroup group;
    for (int i = 0; i < 100; ++i) group.spawn(timeout(absl::Milliseconds(5), sleep_for(absl::InfiniteDuration())));
    co_await group.join();
  }());
  // The turn that began them, and those that fire them.
  EXPECT_LE(loop.kernel.clock_reads, 4);
  EXPECT_EQ(loop->stats().timers, 0u);
}

// The system's, with a count of the looks at the clock.
class CountingKernel final : public internal::Kernel {
 public:
  int64_t monotonic_ns() noexcept override {
    ++clock_reads;
    return Kernel::monotonic_ns();
  }
  int clock_reads = 0;
};

Task<> nops(int count) {
  for (int i = 0; i < count; ++i) co_await submit(io_uring_prep_nop);
}

TEST(Engine, ATimerThatIsFarAwayCostsNoClockATurn) {
  CountingKernel kernel;
  auto ring = internal::Ring::create({}).value();
  const bool takes_deadlines = ring->takes_deadlines();
  auto loop = internal::LoopAccess::create(std::move(ring), kernel, {}).value();
  loop->run([](CountingKernel& clock, bool rarely) -> Task<> {
    JoinHandle<> sleeper = spawn([]() -> Task<> { co_await sleep_for(absl::Hours(1)); });
    co_await yield();
    const int before = clock.clock_reads;
    co_await nops(1000);
    EXPECT_LE(clock.clock_reads - before, rarely ? 260 : 1010);
    sleeper.cancel();
  }(kernel, takes_deadlines));
}

// Each wait finds a completion, so that none runs into the deadline.
TEST(Engine, ATimerFiresSoonAlthoughCompletionsNeverEnd) {
  ScriptedLoop loop({.takes_deadlines = true});
  loop.ring.on_enter = [&loop](ScriptedRing&, bool) { loop.kernel.advance(1'000'000); };
  loop->run([]() -> Task<> {
    JoinHandle<> sleeper = spawn([]() -> Task<> { co_await sleep_for(absl::Milliseconds(10)); });
    int turns = 0;
    for (; turns < 100 && !sleeper.done(); ++turns) co_await operate(IORING_OP_NOP, 0);
    EXPECT_GE(turns, 10);
    EXPECT_LE(turns, 10 + 5);
  }());
}

TEST(Engine, ADeadlineThatPassesIsSeenAtOnce) {
  ScriptedLoop loop({.takes_deadlines = true});
  loop->run([]() -> Task<> { co_await sleep_for(absl::Milliseconds(10)); }());
  EXPECT_EQ(loop.ring.waits, 1);
  EXPECT_EQ(loop.ring.slept_ns, 10'000'000);
}

// --- a loop that spins before it sleeps

Task<> wait_for_posts(Loop& loop, LoopHandle handle, int count) {
  Event arrived;
  std::thread poster([&] {
    for (int i = 0; i < count; ++i) {
      std::atomic<bool> ran{false};
      handle.post([&] {
        arrived.set();
        ran.store(true);
      });
      while (!ran.load()) std::this_thread::yield();
    }
  });
  for (int i = 0; i < count; ++i) {
    co_await arrived.wait();
    arrived.reset();
  }
  poster.join();
  EXPECT_EQ(loop.stats().posts, static_cast<uint64_t>(count));
}

TEST(Engine, WhoComesWhileTheLoopSpinsWritesNoWakeUp) {
  auto loop = Loop::create({.spin = absl::Hours(1)}).value();
  loop->run(wait_for_posts(*loop, loop->handle(), 1000));
  EXPECT_EQ(loop->stats().wakeups_written, 0u);
}

TEST(Engine, ALoopThatHasSpunInVainSleeps) {
  auto loop = Loop::create({.spin = absl::Nanoseconds(1)}).value();
  loop->run(wait_for_posts(*loop, loop->handle(), 1000));
  auto lazy = Loop::create({.spin = absl::Microseconds(100)}).value();
  const auto nap = []() -> Task<> { co_await sleep_for(absl::Milliseconds(20)); };
  lazy->run(nap());
  EXPECT_LE(lazy->stats().turns, 20u);  // the rest of the time it sleeps in one enter
}

// What it submitted is on its way, and a timer ends the spin.
TEST(Engine, ASpinningLoopHearsTheKernelAndTheClock) {
  auto loop = Loop::create({.spin = absl::Hours(1)}).value();
  const auto body = []() -> Task<> {
    std::array<int, 2> fds;
    EXPECT_EQ(::pipe(fds.data()), 0);
    char byte = 0;
    JoinHandle<int> reader = spawn(submit([&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, fds[0], &byte, 1, 0); }));
    co_await sleep_for(absl::Milliseconds(1));
    std::thread writer([fd = fds[1]] { EXPECT_EQ(::write(fd, "x", 1), 1); });
    const int got = co_await std::move(reader);
    EXPECT_EQ(got, 1);
    writer.join();
    ::close(fds[0]);
    ::close(fds[1]);
  };
  loop->run(body());
}

TEST(Engine, ManyOperationsTravelInOneEnter) {
  ScriptedLoop loop({.sq_entries = 64, .cq_entries = 256});
  loop->run([]() -> Task<> {
    TaskGroup group;
    for (int i = 0; i < 50; ++i) group.spawn(operate(IORING_OP_NOP, i));
    co_await group.join();
  }());
  EXPECT_EQ(loop->stats().enters, 1u);
}

TEST(Engine, SubmittingWaitingAndTheDeadlineTravelTogether) {
  ScriptedLoop loop;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool) {
    if (loop.kernel.now_ns() != FakeKernel::kStart_ns) ring.complete(*ring.find(kOp), 0);
  };
  loop->run([]() -> Task<> {
    JoinHandle<int> operation = spawn(operate(kOp, 1));
    co_await sleep_for(absl::Milliseconds(7));
    (void)co_await operation;
  }());
  EXPECT_EQ(loop.ring.slept_ns, 7'000'000);
  EXPECT_EQ(loop->stats().enters, 2u);
}

TEST(Engine, TimersFireInOrderAndNeverEarly) {
  ScriptedLoop loop;
  std::vector<int> order;
  loop->run([](std::vector<int>* out, FakeKernel* kernel) -> Task<> {
    TaskGroup group;
    for (int ms : {5, 3, 9, 3, 1}) {
      group.spawn([](int delay_ms, std::vector<int>* fired, FakeKernel* clock) -> Task<> {
        co_await sleep_for(absl::Milliseconds(delay_ms));
        EXPECT_GE(clock->now_ns(), FakeKernel::kStart_ns + delay_ms * 1'000'000);
        fired->push_back(delay_ms);
      }(ms, out, kernel));
    }
    co_await group.join();
  }(&order, &loop.kernel));
  EXPECT_EQ(order, (std::vector<int>{1, 3, 3, 5, 9}));
}

// A loop that never sleeps looks at the task-work flag in every turn.
TEST(Engine, TaskWorkIsRunByALoopThatIsNeverIdle) {
  ScriptedLoop loop;
  loop.ring.on_enter = [](ScriptedRing& ring, bool) {
    if (const io_uring_sqe* entry = ring.find(kOp)) ring.complete_as_task_work(*entry, 5);
  };
  bool over = false;
  const auto spin = [](bool* stop) -> Task<> {
    while (!*stop) co_await yield();
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> spinner = spawn(spin(&over));
    const int result = co_await operate(kOp, 1);
    EXPECT_EQ(result, 5);
    over = true;
    co_await spinner;
  };
  loop->run(test());
  EXPECT_EQ(loop.ring.waits, 0);
}

TEST(Engine, OverflowIsFlushedByALoopThatIsNeverIdle) {
  ScriptedLoop loop({.sq_entries = 8, .cq_entries = 2});
  loop.ring.on_enter = [](ScriptedRing& ring, bool) {
    if (ring.count(kOp) != 8) return;
    while (const io_uring_sqe* entry = ring.find(kOp)) ring.complete(*entry, 5);
  };
  bool over = false;
  const auto spin = [](bool* stop) -> Task<> {
    while (!*stop) co_await yield();
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> spinner = spawn(spin(&over));
    TaskGroup group;
    for (int i = 0; i < 8; ++i) group.spawn(operate(kOp, i));
    co_await group.join();
    over = true;
    co_await spinner;
  };
  loop->run(test());
  EXPECT_GE(loop->stats().overflows, 3u);
  EXPECT_EQ(loop.ring.waits, 0);
}

TEST(Engine, TimersFireInALoopThatIsNeverIdle) {
  ScriptedLoop loop;
  bool over = false;
  const auto spin = [&]() -> Task<> {
    while (!over) {
      loop.kernel.advance(1000);
      co_await yield();
    }
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> spinner = spawn(spin());
    co_await sleep_for(absl::Milliseconds(1));
    over = true;
    co_await spinner;
  };
  loop->run(test());
  EXPECT_EQ(loop.ring.waits, 0);
}

TEST(Engine, PostsAreTakenByALoopThatIsNeverIdleAndAreFairThemselves) {
  ScriptedLoop loop;
  uint64_t posts = 0;
  const LoopHandle handle = loop->handle();
  const auto test = [&]() -> Task<> {
    class Repost {
     public:
      Repost(const LoopHandle& to, uint64_t& count) : to_(to), count_(count) {}
      void operator()() {
        if (++count_ < 10'000) to_.post(Repost(*this));
      }

     private:
      const LoopHandle& to_;
      uint64_t& count_;
    };
    for (int i = 0; i < 1000; ++i) handle.post([&posts] { ++posts; });
    const uint64_t turns = loop->stats().turns;
    while (posts < 1000) co_await yield();
    EXPECT_GE(loop->stats().turns - turns, 3u);  // 256 in a turn
    handle.post(Repost(handle, posts));
    co_await sleep_for(absl::Milliseconds(1));  // is served beside the endless posts
    while (posts < 10'000) co_await yield();
  };
  loop->run(test());
  EXPECT_EQ(loop->stats().wakeups_written, 0u);
  EXPECT_EQ(loop->stats().wakeups_saved, loop->stats().posts);
}

TEST(Engine, ACompletionStormDoesNotStarveTheReadyQueue) {
  ScriptedLoop loop({.sq_entries = 1024, .cq_entries = 8192});
  const auto again = [](int number) -> Task<> {
    for (int i = 0; i < 5; ++i) (void)co_await operate(IORING_OP_NOP, number);
  };
  loop.ring.on_enter = [&](ScriptedRing&, bool) { loop.kernel.advance(1); };
  const auto test = [&]() -> Task<> {
    TaskGroup group;
    for (int i = 0; i < 5000; ++i) group.spawn(again(i));
    co_await sleep_for(absl::Nanoseconds(1));
    EXPECT_GT(group.size(), 0u);  // the timer was served in between
    co_await group.join();
  };
  loop->run(test());
  EXPECT_GE(loop->stats().turns, 30'000u / 256);  // a turn resumes no more
  EXPECT_EQ(loop->stats().completions, 25'000u);
}

TEST(Engine, ReadyTasksRunFirstInFirstOut) {
  ScriptedLoop loop;
  std::vector<int> order;
  loop->run([](std::vector<int>* out) -> Task<> {
    TaskGroup group;
    for (int i = 0; i < 1000; ++i) {
      group.spawn([](int number, std::vector<int>* ran) -> Task<> {
        ran->push_back(number);
        co_await yield();
        ran->push_back(1000 + number);
      }(i, out));
    }
    co_await group.join();
  }(&order));
  ASSERT_EQ(order.size(), 2000u);
  for (std::size_t i = 0; i < 2000; ++i) EXPECT_EQ(order[i], static_cast<int>(i));
}

// An idle hook is asked before the loop sleeps, and at the end of a run; it may leave the list, and make a task ready.
TEST(Engine, IdleHooksAreAskedBeforeTheLoopSleeps) {
  ScriptedLoop loop;
  class Hook final : public internal::IdleHook {
   public:
    explicit Hook(internal::Engine& engine) : engine_(engine) {}
    void before_sleep() noexcept override {
      ++asked;
      if (event == nullptr) return;
      event->set();
      event = nullptr;
      engine_.remove_idle_hook(*this);
    }
    int asked = 0;
    Event* event = nullptr;

   private:
    internal::Engine& engine_;
  } hook(loop.engine());
  loop.engine().add_idle_hook(hook);
  loop->run(sleep_for(absl::Milliseconds(1)));
  EXPECT_EQ(hook.asked, 2);
  EXPECT_EQ(loop.ring.waits, 1);
  Event event;
  hook.event = &event;
  const auto waits = [&]() -> Task<> { co_await event.wait(); };
  loop->run(waits());
  EXPECT_EQ(hook.asked, 3);
  EXPECT_EQ(loop.ring.waits, 1);  // it did not sleep
}

// --- on the real ring

long factor(long full) {
  const char* const text = std::getenv("WEIR_STORM");
  const double scale = text != nullptr ? std::atof(text) : 1.0;
  return std::max(1L, static_cast<long>(static_cast<double>(full) * scale));
}

TEST(Engine, AMillionYieldsBesideATimerAndASocketThatAreServed) {
  auto made = Loop::create();
  ASSERT_TRUE(made.ok()) << made.status();
  Loop& loop = **made;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  bool over = false;
  const long count = factor(1'000'000);
  long yielded = 0;
  long echoes = 0;
  long ticks = 0;
  const auto yielder = [&]() -> Task<> {
    // At least so many, and until the others have been served: were they not, this would not end.
    while (yielded < count || echoes < 3 || ticks < 3) {
      ++yielded;
      co_await yield();
    }
    over = true;
  };
  const auto timer = [&]() -> Task<> {
    while (!over) {
      co_await sleep_for(absl::Microseconds(100));
      ++ticks;
    }
  };
  const auto reader = [&]() -> Task<> {
    for (char byte = 0;; ++echoes) {
      const auto read = [&](io_uring_sqe* sqe) { io_uring_prep_recv(sqe, ends[0], &byte, 1, 0); };
      const int got = co_await submit(read);
      if (got == 0) co_return;
      EXPECT_EQ(got, 1);
    }
  };
  const auto writer = [&]() -> Task<> {
    char byte = 'x';
    while (!over) {
      const auto write = [&](io_uring_sqe* sqe) { io_uring_prep_send(sqe, ends[1], &byte, 1, 0); };
      const int sent = co_await submit(write);
      EXPECT_EQ(sent, 1);
    }
    ::shutdown(ends[1], SHUT_WR);
  };
  const auto test = [&]() -> Task<> { co_await gather(yielder(), timer(), reader(), writer()); };
  loop.run(test());
  EXPECT_GE(yielded, count);
  EXPECT_GE(ticks, 3);
  EXPECT_GE(echoes, 3);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace weir
