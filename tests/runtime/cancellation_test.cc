// Cancelling at every point: before the task starts, before its operation is submitted, in flight, at the moment of
// completion, and after. Whatever the point, the kernel is done with the buffers once the coroutine is unwound, no byte
// and no descriptor is lost, and the task ends with its result or with Cancelled.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/io/file.h"
#include "weir/tests/testing/io.h"

namespace weir {
namespace {

constexpr std::size_t kPage = 4096;

// A pipe of one page. What goes in and out of it is counted.
class Pipe {
 public:
  Pipe() {
    EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0);
    EXPECT_GE(::fcntl(ends_[1], F_SETPIPE_SZ, kPage), static_cast<int>(kPage));
  }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }

  // Only for what there is room for.
  void put(std::size_t count) {
    const std::vector<char> bytes(count, 'x');
    EXPECT_EQ(::write(writer(), bytes.data(), count), static_cast<ssize_t>(count));
    in += count;
  }
  void drain() {
    std::array<char, kPage> bytes;
    for (pollfd ready{.fd = reader(), .events = POLLIN, .revents = 0}; ::poll(&ready, 1, 0) == 1;) {
      const ssize_t count = ::read(reader(), bytes.data(), bytes.size());
      ASSERT_GT(count, 0);
      out += static_cast<std::size_t>(count);
    }
  }

  std::size_t in = 0;
  std::size_t out = 0;

 private:
  std::array<int, 2> ends_{};
};

enum class Kind { kRead, kWrite, kPoll, kSleep, kSubmit, kFile, kOpen, kJoin, kTimeout, kCount };

enum class Point { kBeforeTheStart, kBeforeSubmission, kInFlight, kAtCompletion, kAfter, kCount };

// One race after the other on pipes of its own.
class Racer {
 public:
  Racer(uint64_t seed, int file) : random_(seed), file_(file) {}

  Task<> race(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      const auto kind = static_cast<Kind>(below(static_cast<unsigned>(Kind::kCount)));
      const auto point = static_cast<Point>(below(static_cast<unsigned>(Point::kCount)));
      co_await race_once(kind, point);
    }
    input_.drain();
    output_.drain();
    EXPECT_EQ(input_.in, input_.out);
    EXPECT_EQ(output_.in, output_.out);
  }

  uint64_t cancelled = 0;
  uint64_t finished = 0;

 private:
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

  Task<> race_once(Kind kind, Point point) {
    if (kind == Kind::kWrite) output_.put(kPage);  // full: the write waits
    JoinHandle<void> task = spawn(work(kind));
    if (point >= Point::kBeforeSubmission) co_await yield();
    if (point >= Point::kInFlight) co_await pause();
    if (point >= Point::kAtCompletion) {
      let_it_complete(kind);
      for (unsigned turns = below(3); turns != 0; --turns) co_await yield();
    }
    if (point == Point::kAfter) {
      while (!task.done()) co_await sleep_for(absl::Microseconds(5));
    }
    task.cancel();
    try {
      co_await task;
      ++finished;
    } catch (const Cancelled&) {
      if (internal::Root::current().interrupted()) throw;  // it is the racer that was cancelled
      ++cancelled;
      EXPECT_TRUE(point != Point::kAfter);
    }
    input_.drain();
    output_.drain();
  }

  // Lets the operation get into the kernel, more or less.
  Task<> pause() {
    switch (below(4)) {
      case 0:
        co_return;
      case 1:
        co_await sleep_for(absl::Nanoseconds(1));
        co_return;
      case 2:
        co_await sleep_for(absl::Microseconds(below(20)));
        co_return;
      default:
        for (unsigned turns = below(600); turns != 0; --turns) co_await yield();
    }
  }

  void let_it_complete(Kind kind) {
    if (kind == Kind::kRead || kind == Kind::kPoll || kind == Kind::kJoin || kind == Kind::kTimeout) input_.put(1 + below(8));
    if (kind == Kind::kWrite) output_.drain();
  }

  Task<> work(Kind kind) {
    switch (kind) {
      case Kind::kRead:
        return read();
      case Kind::kWrite:
        return write();
      case Kind::kPoll:
        return poll_input();
      case Kind::kSleep:
        return sleep();
      case Kind::kSubmit:
        return nop();
      case Kind::kFile:
        return read_file();
      case Kind::kOpen:
        return open();
      case Kind::kJoin:
        return join();
      default:
        return read_in_time();
    }
  }

  // Freed right after the unwinding: AddressSanitizer sees what the kernel's system calls write, and what others do.
  Task<> read() {
    const auto buffer = std::make_unique<std::array<char, 64>>();
    const auto prepare = [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, input_.reader(), buffer->data(), 64, 0); };
    const int result = co_await submit(prepare);
    EXPECT_GT(result, 0);
    if (result > 0) input_.out += static_cast<std::size_t>(result);
    co_await yield();
  }

  Task<> write() {
    const auto buffer = std::make_unique<std::array<char, 64>>();
    const auto prepare = [&](io_uring_sqe* sqe) { io_uring_prep_write(sqe, output_.writer(), buffer->data(), 64, 0); };
    const int result = co_await submit(prepare);
    EXPECT_EQ(result, 64);
    if (result > 0) output_.in += static_cast<std::size_t>(result);
  }

  Task<> poll_input() {
    const auto prepare = [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, input_.reader(), POLLIN); };
    const int result = co_await submit(prepare);
    EXPECT_GT(result, 0);
  }

  Task<> sleep() { co_await sleep_for(absl::Microseconds(static_cast<int>(below(30)) - 2)); }

  Task<> nop() {
    const auto prepare = [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); };
    const int result = co_await submit(prepare);
    EXPECT_EQ(result, 0);
  }

  Task<> read_file() {
    const auto buffer = std::make_unique<std::array<char, 4096>>();
    const auto prepare = [&](io_uring_sqe* sqe) {
      io_uring_prep_read(sqe, file_, buffer->data(), 4096, 0);
      if (below(2) == 0) sqe->flags |= IOSQE_ASYNC;  // on a worker of the kernel's
    };
    const int result = co_await submit(prepare);
    EXPECT_EQ(result, 4096);
  }

  Task<> open() {
    const absl::StatusOr<File> file = co_await File::open("/dev/null", O_RDONLY);
    EXPECT_TRUE(file.ok()) << file.status();
  }

  // Cancelling who waits leaves the task alone; it is cancelled when its own owner is.
  Task<> join() {
    TaskGroup group;
    const auto body = [this](TaskGroup& tasks) -> Task<> {
      tasks.spawn(read());
      co_await tasks.join();
    };
    co_await with(std::move(group), body);
  }

  Task<> read_in_time() {
    const absl::Status status = co_await timeout(absl::Microseconds(below(100)), read());
    EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
  }

  std::mt19937_64 random_;
  const int file_;
  Pipe input_;
  Pipe output_;
};

uint64_t seed() {
  const char* const given = std::getenv("WEIR_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

TEST(Cancellation, ASeededStormLosesNothing) {
  const uint64_t first_seed = seed();
  std::cout << "WEIR_SEED=" << first_seed << "\n";
  constexpr int kRacers = 16;
  const int rounds = testing::storm(100'000 / kRacers);
  const testing::TemporaryFolder folder;
  const std::string path = folder.file("data");
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::ftruncate(file, 4096), 0);
  const int descriptors = testing::open_descriptors();
  uint64_t cancelled = 0;
  uint64_t finished = 0;
  for (unsigned entries : {64u, 4u}) {
    auto loop = Loop::create({.sq_entries = entries, .cq_entries = 4 * entries});
    ASSERT_TRUE(loop.ok()) << loop.status();
    std::vector<std::unique_ptr<Racer>> racers;
    for (uint64_t i = 0; i < kRacers; ++i) racers.push_back(std::make_unique<Racer>(first_seed + i + entries, file));
    const auto all = [&]() -> Task<> {
      TaskGroup group;
      for (auto& racer : racers) group.spawn(racer->race(rounds / 2 + 1));
      co_await group.join();
    };
    (*loop)->run(all());
    for (const auto& racer : racers) {
      cancelled += racer->cancelled;
      finished += racer->finished;
    }
    EXPECT_LE((*loop)->stats().operations, 1u);  // the wake-up
    EXPECT_EQ((*loop)->stats().timers, 0u);
  }
  EXPECT_EQ(testing::open_descriptors(), descriptors);
  EXPECT_GT(cancelled, 0u);
  EXPECT_GT(finished, 0u);
  std::cout << cancelled << " cancelled, " << finished << " finished\n";
  ::close(file);
}

// The loop itself goes at a random moment of such a storm.
TEST(Cancellation, TheLoopGoesInTheMiddleOfAStorm) {
  const uint64_t first_seed = seed();
  std::cout << "WEIR_SEED=" << first_seed << "\n";
  const testing::TemporaryFolder folder;
  const std::string path = folder.file("data");
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::ftruncate(file, 4096), 0);
  const int descriptors = testing::open_descriptors();
  for (int round = 0; round < testing::storm(300); ++round) {
    std::vector<std::unique_ptr<Racer>> racers;
    for (uint64_t i = 0; i < 8; ++i) racers.push_back(std::make_unique<Racer>(first_seed + i + 100 * static_cast<uint64_t>(round), file));
    auto loop = Loop::create({.sq_entries = 8, .cq_entries = 16});
    ASSERT_TRUE(loop.ok()) << loop.status();
    const auto start = [&]() -> Task<> {
      for (auto& racer : racers) (void)spawn(racer->race(1'000'000));
      co_await sleep_for(absl::Microseconds(round % 100));
    };
    (*loop)->run(start());
    loop->reset();
    racers.clear();
    ASSERT_EQ(testing::open_descriptors(), descriptors);
  }
  ::close(file);
}

// A handle moved into race, gather or a group is cancelled with it, also when that happens before it is awaited.
TEST(Cancellation, AHandleMovedIntoARaceIsCancelledWithIt) {
  auto loop = Loop::create();
  ASSERT_TRUE(loop.ok()) << loop.status();
  const auto at_once = []() -> Task<int> { co_return 1; };
  bool ended = false;
  const auto long_sleep = [&]() -> Task<> {
    try {
      co_await sleep_for(absl::InfiniteDuration());
    } catch (const Cancelled&) {
      ended = true;
      throw;
    }
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(long_sleep());
    co_await yield();
    const auto winner = co_await race(at_once(), std::move(handle));
    EXPECT_EQ(winner.index(), 0u);
    EXPECT_TRUE(ended);
  };
  (*loop)->run(test());
}

}  // namespace
}  // namespace weir
