// A descriptor that goes while operations are queued and in flight on it, and whose number others want at once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

// Takes every number that becomes free, as a pipe full of poison, and gives it back: a read that lands in one is seen.
class Squatter {
 public:
  Squatter() : thread_([this] { run(); }) {}
  Squatter(const Squatter&) = delete;
  Squatter& operator=(const Squatter&) = delete;
  ~Squatter() {
    stop_.store(true, std::memory_order_relaxed);  // only a flag
    thread_.join();
  }

 private:
  void run() {
    while (!stop_.load(std::memory_order_relaxed)) {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) != 0) continue;
      (void)!::write(ends[1], "poison", 6);
      ::close(ends[0]);
      ::close(ends[1]);
      std::this_thread::yield();
    }
  }
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

enum class End { kClosed, kDropped, kDroppedElsewhere };

Task<> round_of(End end, int readers, int pause) {
  Pipe made = Pipe::create().value();
  auto reader = std::make_unique<PipeReader>(std::move(made.reader));
  std::vector<std::string> texts(static_cast<std::size_t>(readers), std::string(6, '\0'));
  std::vector<JoinHandle<absl::StatusOr<std::size_t>>> reads;
  for (std::string& text : texts) reads.push_back(spawn(reader->read(writable_bytes(text))));
  for (int i = 0; i < pause; ++i) co_await yield();  // queued, some in flight
  switch (end) {
    case End::kClosed:
      EXPECT_TRUE((co_await reader->close()).ok());
      break;
    case End::kDropped:
      reader.reset();
      break;
    case End::kDroppedElsewhere:
      std::thread([moved = std::move(reader)]() mutable { moved.reset(); }).join();
      break;
  }
  for (auto& read : reads) {
    absl::StatusOr<std::size_t> result = co_await read;
    EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled) << result.status();
  }
  for (const std::string& text : texts) EXPECT_EQ(text, std::string(6, '\0'));
}

TEST(ReusedFd, NobodyElsesBytesAreRead) {
  const int before = open_descriptors();
  {
    const Squatter squatter;
    LoopOptions options;
    options.sq_entries = 8;  // most are queued for a slot
    on_loop([]() -> Task<> {
      for (int round = 0; round < storm(60); ++round) {
        for (const End end : {End::kClosed, End::kDropped, End::kDroppedElsewhere}) co_await round_of(end, 20, round % 6);
      }
    }, options);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(ReusedFd, ANumberIsFreeOnlyAfterTheLastCompletion) {
  on_loop([]() -> Task<> {
    Pipe made = Pipe::create().value();
    auto reader = std::make_unique<PipeReader>(std::move(made.reader));
    const int number = reader->fd();
    std::string text(6, '\0');
    auto reading = spawn(reader->read(writable_bytes(text)));
    co_await enter_once();
    reader.reset();
    const int other = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    EXPECT_NE(other, number);  // the read is still in flight
    ::close(other);
    EXPECT_EQ((co_await reading).status().code(), absl::StatusCode::kCancelled);
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(next, number);  // the lowest that is free
    ::close(next);
  });
}

// Writes, too: none may land in what took the number.
TEST(ReusedFd, NothingIsWrittenToSomebodyElse) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    for (int round = 0; round < storm(60); ++round) {
      Pipe made = Pipe::create().value();
      const std::string much(200'000, 'x');
      std::vector<JoinHandle<absl::Status>> writes;
      for (int i = 0; i < 10; ++i) writes.push_back(spawn(made.writer.write_all(as_bytes(much))));
      for (int i = 0; i < round % 6; ++i) co_await yield();
      EXPECT_TRUE((co_await made.writer.close()).ok());
      File next = (co_await File::open(folder.file("next"), O_RDWR | O_CREAT | O_TRUNC)).value();
      for (auto& write : writes) {
        absl::Status status = co_await write;
        EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
      }
      EXPECT_EQ((co_await next.size()).value_or(1), 0u);
    }
  });
}

}  // namespace
}  // namespace weir
