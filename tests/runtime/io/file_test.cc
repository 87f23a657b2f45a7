#include "weir/runtime/io/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/timeout.h"
#include "weir/tests/testing/scripted_loop.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

TEST(File, WritesAndReads) {
  const TemporaryFolder folder;
  const int before = open_descriptors();
  on_loop([&]() -> Task<> {
    auto file = co_await File::open(folder.file("x"), O_RDWR | O_CREAT | O_EXCL);
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(fcntl(file->fd(), F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE((co_await file->write_all_at(as_bytes("hello world"), 0)).ok());
    std::string text(5, '\0');
    EXPECT_EQ((co_await file->read_at(writable_bytes(text), 6)).value(), 5u);
    EXPECT_EQ(text, "world");
    EXPECT_EQ((co_await file->read_at(writable_bytes(text), 11)).value(), 0u);
    const absl::Status end = co_await file->read_exact_at(writable_bytes(text), 8);
    EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(end.message(), "read " + folder.file("x") + ": end of file after 3 of 5 bytes at offset 8");
    EXPECT_TRUE((co_await file->fsync()).ok());
    EXPECT_TRUE((co_await file->fdatasync()).ok());
    EXPECT_EQ((co_await file->size()).value(), 11u);
    EXPECT_TRUE((co_await file->truncate(4)).ok());
    EXPECT_EQ((co_await file->size()).value(), 4u);
    EXPECT_TRUE((co_await file->close()).ok());
    EXPECT_TRUE((co_await file->close()).ok());
    EXPECT_THROW((void)co_await file->size(), std::logic_error);
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(File, SaysWhatIsWrong) {
  on_loop([]() -> Task<> {
    auto file = co_await File::open("/nowhere/x", O_RDONLY);
    EXPECT_EQ(file.status().message(), "openat /nowhere/x: No such file or directory");
    EXPECT_EQ(status_errno(file.status()), ENOENT);
  });
}

TEST(File, ReadsAndWritesParts) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    File file = (co_await File::open(folder.file("x"), O_RDWR | O_CREAT)).value();
    const absl::Span<const std::byte> parts[] = {as_bytes("abc"), as_bytes(""), as_bytes("defg")};
    EXPECT_EQ((co_await file.writev_at(absl::MakeConstSpan(parts), 1)).value(), 7u);
    std::string first(2, '\0');
    std::string second(9, '\0');
    const absl::Span<std::byte> into[] = {writable_bytes(first), writable_bytes(second)};
    EXPECT_EQ((co_await file.readv_at(absl::MakeConstSpan(into), 0)).value(), 8u);
    EXPECT_EQ(first, std::string("\0a", 2));
    EXPECT_EQ(second.substr(0, 6), "bcdefg");
  });
}

TEST(File, TakesAndGivesSpace) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    File file = (co_await File::open(folder.file("x"), O_RDWR | O_CREAT, 0600)).value();
    const absl::Status allocated = co_await file.allocate(0, 1 << 20);
    if (status_errno(allocated) == EOPNOTSUPP) co_return;  // this file system cannot
    EXPECT_TRUE(allocated.ok()) << allocated;
    FileStat stat = (co_await file.stat()).value();
    EXPECT_EQ(stat.size(), 1u << 20);
    EXPECT_GE(stat.allocated(), 1u << 20);
    EXPECT_EQ(stat.mode() & 0777, 0600u);
    EXPECT_TRUE((co_await file.write_all_at(as_bytes(std::string(1 << 20, 'x')), 0)).ok());
    EXPECT_TRUE((co_await file.punch_hole(4096, 8192)).ok());
    std::string text(4, '\0');
    EXPECT_TRUE((co_await file.read_exact_at(writable_bytes(text), 4094)).ok());
    EXPECT_EQ(text, std::string("xx\0\0", 4));
    EXPECT_EQ((co_await file.size()).value(), 1u << 20);
    EXPECT_TRUE((co_await file.truncate(3 << 20)).ok());
    EXPECT_EQ((co_await file.size()).value(), 3u << 20);
    EXPECT_EQ((co_await file.truncate(uint64_t{1} << 63)).message(), "ftruncate " + folder.file("x") + ": Invalid argument");
  });
}

TEST(File, NamesOperationAndPath) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    const std::string path = folder.file("x");
    File file = (co_await File::open(path, O_WRONLY | O_CREAT)).value();
    std::string text(4, '\0');
    EXPECT_EQ((co_await file.read_at(writable_bytes(text), 0)).status().message(), "read " + path + ": Bad file descriptor");
    const File full = (co_await File::open("/dev/full", O_WRONLY)).value();
    EXPECT_EQ((co_await full.write_all_at(as_bytes("x"), 0)).message(), "write /dev/full: No space left on device");
    const File moved = std::move(file);
    EXPECT_THROW((void)file.size(), std::logic_error);
    EXPECT_EQ(file.fd(), -1);
  });
}

// The kernel reports a failed write-back once; the next fsync would succeed without the data.
TEST(File, AFailedSyncStaysFailed) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    close(ends[0]);
    File file = File::from_fd(ends[1], "log");  // a pipe cannot be synced
    EXPECT_EQ((co_await file.fsync()).message(), "fsync log: Invalid argument");
    const int good = open(folder.file("x").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    EXPECT_EQ(dup2(good, file.fd()), file.fd());  // from now on the kernel would say yes
    EXPECT_EQ(::fsync(file.fd()), 0);
    EXPECT_EQ((co_await file.fdatasync()).message(), "fdatasync log: Invalid argument");
    EXPECT_EQ((co_await file.fsync()).message(), "fsync log: Invalid argument");
    EXPECT_TRUE((co_await File::from_fd(good).fsync()).ok());
  });
}

TEST(File, SaysWhatDirectAccessNeeds) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    const std::string path = folder.file("x");
    EXPECT_TRUE((co_await (co_await File::open(path, O_WRONLY | O_CREAT)).value().write_all_at(as_bytes(std::string(5000, 'x')), 0)).ok());
    auto opened = co_await File::open(path, O_RDONLY | O_DIRECT);
    if (!opened.ok()) co_return;  // this file system has no O_DIRECT
    const auto alignment = co_await opened->io_alignment();
    if (!alignment.ok()) co_return;
    EXPECT_GE(alignment->offset, 1u);
    const size_t size = 8192;
    const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(4096, 2 * size), &std::free);
    auto* const bytes = static_cast<std::byte*>(memory.get());
    EXPECT_EQ((co_await opened->read_at(absl::MakeSpan(bytes, size), 0)).value(), 5000u);
    const absl::Status end = co_await opened->read_exact_at(absl::MakeSpan(bytes, size), 0);
    EXPECT_EQ(end.message(), "read " + path + ": end of file after 5000 of 8192 bytes at offset 0");
    const absl::Status wrong = (co_await opened->read_at(absl::MakeSpan(bytes, 100), 3)).status();
    if (wrong.ok()) co_return;  // this file system takes anything
    EXPECT_EQ(status_errno(wrong), EINVAL);
    for (const std::string& part : {"read " + path + " (O_DIRECT, offset 3, length 100, address 0x",
                                   "offset and length must be multiples of " + std::to_string(alignment->offset),
                                   "the address of " + std::to_string(alignment->memory)}) {
      EXPECT_NE(std::string(wrong.message()).find(part), std::string::npos) << wrong << " lacks " << part;
    }
  });
}

TEST(File, OpensFifosAndReadsThemInOrder) {
  const TemporaryFolder folder;
  const std::string path = folder.file("fifo");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int before = open_descriptors();
  on_loop([&]() -> Task<> {
    EXPECT_EQ(status_errno((co_await File::open(path, O_WRONLY)).status()), ENXIO);
    File reader = (co_await File::open(path, O_RDONLY)).value();
    File writer = (co_await File::open(path, O_WRONLY)).value();
    std::string text(4, '\0');
    auto reading = spawn(reader.read_at(writable_bytes(text), 0));
    co_await enter_once();
    EXPECT_FALSE(reading.done());
    EXPECT_EQ((co_await writer.write_at(as_bytes("abc"), 0)).value(), 3u);
    EXPECT_EQ((co_await reading).value(), 3u);
    EXPECT_EQ(text.substr(0, 3), "abc");
  });
  EXPECT_EQ(open_descriptors(), before);
}

// With O_CREAT a worker of the kernel opens it, and waits.
TEST(File, AnOpenThatWaitsIsCancelled) {
  const TemporaryFolder folder;
  const std::string path = folder.file("fifo");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int before = open_descriptors();
  on_loop([&]() -> Task<> {
    const auto late = co_await timeout(absl::Milliseconds(5), File::open(path, O_RDONLY | O_CREAT));
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded) << late.status();
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(File, ClosingOrDroppingItCancels) {
  on_loop([]() -> Task<> {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    std::string text(4, '\0');
    std::optional<File> reader(File::from_fd(ends[0], "pipe"));
    auto reading = spawn(reader->read_at(writable_bytes(text), 0));
    co_await enter_once();
    EXPECT_FALSE(reading.done());
    EXPECT_THROW(reader->release(), std::logic_error);
    reader.reset();
    EXPECT_GE(fcntl(ends[0], F_GETFD), 0);  // not before the end of the read
    const auto dropped = co_await reading;
    EXPECT_EQ(dropped.status().message(), "read pipe: Operation canceled");
    EXPECT_EQ(dropped.status().code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(fcntl(ends[0], F_GETFD), -1);
    File writer = File::from_fd(ends[1]);
    EXPECT_EQ(writer.release(), ends[1]);
    close(ends[1]);
  });
}

Task<> use_files(const TemporaryFolder& folder, int number) {
  for (;;) {
    File file = (co_await File::open(folder.file(std::to_string(number)), O_RDWR | O_CREAT)).value();
    EXPECT_TRUE((co_await file.write_all_at(as_bytes("hello"), 7)).ok());
    std::string text(5, '\0');
    EXPECT_TRUE((co_await file.read_exact_at(writable_bytes(text), 7)).ok());
    EXPECT_EQ((co_await file.size()).value(), 12u);
    EXPECT_TRUE((co_await file.close()).ok());
  }
}

TEST(File, CancelledAnywhereItLeaksNothing) {
  const TemporaryFolder folder;
  const int before = open_descriptors();
  on_loop([&]() -> Task<> {
    for (int seed = 0; seed < storm(300); ++seed) {
      std::mt19937 random(static_cast<unsigned>(seed));
      std::vector<JoinHandle<void>> tasks;
      for (int i = 0; i < 4; ++i) tasks.push_back(spawn(use_files(folder, i)));
      co_await random_pause(random);
      co_await random_pause(random);
      for (JoinHandle<void>& task : tasks) {
        task.cancel();
        co_await random_pause(random);
      }
      for (JoinHandle<void>& task : tasks) EXPECT_THROW(co_await task, Cancelled);
    }
  });
  EXPECT_EQ(open_descriptors(), before);
}

// Blocks of a pool, registered and not, past the page cache and through it.
TEST(File, ReadsAndWritesBuffers) {
  const TemporaryFolder folder;
  for (const bool registered : {true, false}) {
    for (const int direct : {0, O_DIRECT}) {
      auto made = Loop::create();
      ASSERT_TRUE(made.ok()) << made.status();
      Loop& loop = **made;
      BufferPool pool = BufferPool::create(loop, {.count = 2, .size = 8192, .registered = registered}).value();
      auto there_and_back = [&]() -> Task<> {
        const std::string path = folder.file(direct != 0 ? "direct" : "cached");
        auto file = co_await File::open(path, O_RDWR | O_CREAT | O_TRUNC | direct);
        if (!file.ok()) co_return;  // this file system has no O_DIRECT
        Buffer out = co_await pool.acquire();
        for (size_t i = 0; i < out.size(); ++i) out.data()[i] = std::byte(i % 251);
        EXPECT_EQ((co_await file->write_at(out, 4096)).value(), 8192u);
        Buffer in = co_await pool.acquire();
        EXPECT_EQ((co_await file->read_at(in, 4096)).value(), 8192u);
        EXPECT_EQ(as_text(in), as_text(out));
        in.resize(4096);
        EXPECT_EQ((co_await file->read_at(in, 0)).value(), 4096u);
        EXPECT_EQ(as_text(in), std::string(4096, '\0'));
        EXPECT_EQ((co_await file->read_at(in, 12288)).value(), 0u);
        if (direct == 0) co_return;
        in.remove_prefix(1);
        const absl::Status wrong = (co_await file->read_at(in, 0)).status();
        if (wrong.ok()) co_return;  // this file system takes anything
        EXPECT_NE(std::string(wrong.message()).find("(O_DIRECT, offset 0, length 4095, address 0x"), std::string::npos) << wrong;
      };
      loop.run(there_and_back());
    }
  }
}

// A buffer of another loop's pool is memory like any other.
TEST(File, TakesABufferOfAnotherLoop) {
  const TemporaryFolder folder;
  auto other = Loop::create();
  ASSERT_TRUE(other.ok()) << other.status();
  BufferPool pool = BufferPool::create(**other, {.count = 1, .size = 16}).value();
  Buffer buffer = (*other)->run([](BufferPool& from) -> Task<Buffer> { co_return co_await from.acquire(); }(pool));
  std::memcpy(buffer.data(), "0123456789abcdef", 16);
  on_loop([&]() -> Task<> {
    File file = (co_await File::open(folder.file("x"), O_RDWR | O_CREAT)).value();
    EXPECT_EQ((co_await file.write_at(buffer, 0)).value(), 16u);
    buffer.resize(3);
    EXPECT_EQ((co_await file.read_at(buffer, 10)).value(), 3u);
    EXPECT_EQ(as_text(buffer), "abc");
  });
}

TEST(File, UsesTheFixedFormForRegisteredBuffers) {
  ScriptedLoop scripted;
  BufferPool pool = BufferPool::create(*scripted, {.count = 1, .size = 64}).value();
  scripted.ring.on_enter = [](ScriptedRing& ring, bool) {
    while (const io_uring_sqe* entry = ring.find(IORING_OP_WRITE_FIXED)) ring.complete(*entry, 64);
    while (const io_uring_sqe* entry = ring.find(IORING_OP_READ_FIXED)) ring.complete(*entry, 10);
  };
  const TemporaryFolder folder;
  const int fd = ::open(folder.file("x").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  auto both = [&]() -> Task<> {
    File file = File::from_fd(fd);
    Buffer buffer = co_await pool.acquire();
    EXPECT_EQ((co_await file.write_at(buffer, 0)).value(), 64u);
    EXPECT_EQ((co_await file.read_at(buffer, 0)).value(), 10u);
  };
  scripted->run(both());
  EXPECT_EQ(scripted.ring.seen_count(IORING_OP_READ_FIXED), 1u);
  EXPECT_EQ(scripted.ring.seen_count(IORING_OP_WRITE_FIXED), 1u);
}

}  // namespace
}  // namespace weir
