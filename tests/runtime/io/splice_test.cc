#include "weir/runtime/io/splice.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "weir/runtime.h"
#include "weir/runtime/kernel.h"
#include "weir/tests/testing/old_ring.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

// The whole suite runs twice: with the kernel's splice, and where it is missing.
class Splice : public ::testing::TestWithParam<bool> {
 protected:
  template <class Fn>
  void on_this_loop(Fn fn) {
    const int before = open_descriptors();
    {
      auto ring = GetParam() ? OldRing::create({}) : OldRing::create({}, {IORING_OP_SPLICE});
      ASSERT_TRUE(ring.ok()) << ring.status();
      auto loop = internal::LoopAccess::create(std::move(*ring), internal::Kernel::system(), {}).value();
      loop->run(fn());
    }
    EXPECT_EQ(open_descriptors(), before);
  }

  std::string path(const char* name) const { return folder_.file(name); }

  const std::string data = [] {
    std::mt19937 random(7);
    std::string text(300'001, '\0');  // more than a pipe holds, and no round number
    for (char& byte : text) byte = static_cast<char>(random());
    return text;
  }();

 private:
  const TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(KernelAndCopy, Splice, ::testing::Bool());

Task<> send_and_close(PipeWriter& writer, const std::string& text) {
  absl::Status sent = co_await writer.write_all(as_bytes(text));
  EXPECT_TRUE(sent.ok()) << sent;
  EXPECT_TRUE((co_await writer.close()).ok());
}

Task<std::string> read_n(PipeReader& reader, std::size_t count) {
  std::string text(count, '\0');
  absl::Status read = co_await reader.read_exact(writable_bytes(text));
  EXPECT_TRUE(read.ok()) << read;
  co_return text;
}

Task<std::string> read_n(TcpStream& reader, std::size_t count) {
  std::string text(count, '\0');
  absl::Status read = co_await reader.read_exact(writable_bytes(text));
  EXPECT_TRUE(read.ok()) << read;
  co_return text;
}

TEST_P(Splice, AFileIntoASocket) {
  on_this_loop([this]() -> Task<> {
    EXPECT_TRUE((co_await write_file(path("file"), data)).ok());
    File file = (co_await File::open(path("file"), O_RDONLY)).value();
    StreamPair pair = co_await connected_pair();
    auto reading = spawn(read_n(pair.server, data.size()));
    EXPECT_EQ((co_await send_file(pair.client, file, 0)).value(), data.size());
    EXPECT_TRUE(co_await reading == data);
    auto part = spawn(read_n(pair.server, 1000));
    EXPECT_EQ((co_await send_file(pair.client, file, 70'000, 1000)).value(), 1000u);
    EXPECT_TRUE(co_await part == data.substr(70'000, 1000));
    EXPECT_EQ((co_await send_file(pair.client, file, data.size() - 5, 1000)).value(), 5u);  // the file ends
    EXPECT_EQ((co_await send_file(pair.client, file, data.size())).value(), 0u);
    EXPECT_EQ((co_await send_file(pair.client, file, 0, 0)).value(), 0u);
  });
}

TEST_P(Splice, APipeIntoAFileAndBack) {
  on_this_loop([this]() -> Task<> {
    Pipe pipe = Pipe::create().value();
    File file = (co_await File::open(path("file"), O_RDWR | O_CREAT)).value();
    auto sending = spawn(send_and_close(pipe.writer, data));
    EXPECT_EQ((co_await splice(pipe.reader, SpliceTarget(file, 10))).value(), data.size());
    co_await sending;
    EXPECT_TRUE((co_await read_file(path("file"))).value() == std::string(10, '\0') + data);
    Pipe back = Pipe::create().value();
    auto reading = spawn(read_n(back.reader, data.size()));
    EXPECT_EQ((co_await splice(SpliceSource(file, 10), back.writer)).value(), data.size());
    EXPECT_TRUE(co_await reading == data);
  });
}

TEST_P(Splice, APipeIntoAPipe) {
  on_this_loop([this]() -> Task<> {
    Pipe one = Pipe::create().value();
    Pipe other = Pipe::create().value();
    auto sending = spawn(send_and_close(one.writer, data));
    auto reading = spawn(read_n(other.reader, 200'000));
    EXPECT_EQ((co_await splice(one.reader, other.writer, 200'000)).value(), 200'000u);
    EXPECT_TRUE(co_await reading == data.substr(0, 200'000));
    EXPECT_TRUE(co_await read_n(one.reader, data.size() - 200'000) == data.substr(200'000));  // none was taken beyond
    co_await sending;
  });
}

TEST_P(Splice, ASocketIntoAFile) {
  on_this_loop([this]() -> Task<> {
    StreamPair pair = co_await connected_pair();
    File file = (co_await File::open(path("file"), O_WRONLY | O_CREAT)).value();
    const auto send = [&]() -> Task<> {
      EXPECT_TRUE((co_await pair.client.write_all(as_bytes(data))).ok());
      EXPECT_TRUE((co_await pair.client.close()).ok());
    };
    auto sending = spawn(send());
    EXPECT_EQ((co_await splice(pair.server, SpliceTarget(file, 0))).value(), data.size());
    co_await sending;
    EXPECT_TRUE((co_await read_file(path("file"))).value() == data);
  });
}

TEST_P(Splice, WhereTheKernelSaysEinvalItCopies) {
  on_this_loop([this]() -> Task<> {
    EXPECT_TRUE((co_await write_file(path("file"), data)).ok());
    File file = (co_await File::open(path("file"), O_RDONLY)).value();
    File log = (co_await File::open(path("log"), O_WRONLY | O_CREAT | O_APPEND)).value();  // splice(2): EINVAL
    EXPECT_EQ((co_await splice(SpliceSource(file, 0), SpliceTarget(log, 0))).value(), data.size());
    EXPECT_TRUE((co_await read_file(path("log"))).value() == data);
  });
}

TEST_P(Splice, ClosingAnEndEndsIt) {
  on_this_loop([]() -> Task<> {
    Pipe silent = Pipe::create().value();
    Pipe unread = Pipe::create().value();
    auto from_silent = spawn(splice(silent.reader, unread.writer));
    co_await enter_once();
    EXPECT_TRUE((co_await silent.reader.close()).ok());
    EXPECT_EQ((co_await from_silent).status().code(), absl::StatusCode::kCancelled);

    Pipe source = Pipe::create().value();
    const std::string much(1 << 20, 'x');
    auto sending = spawn(source.writer.write_all(as_bytes(much)));
    auto into_full = spawn(splice(source.reader, unread.writer));
    for (int i = 0; i < 20; ++i) co_await enter_once();
    EXPECT_TRUE((co_await unread.writer.close()).ok());
    EXPECT_EQ((co_await into_full).status().code(), absl::StatusCode::kCancelled);
    EXPECT_TRUE((co_await source.reader.close()).ok());
    EXPECT_EQ(status_errno(co_await sending), EPIPE);
  });
}

TEST_P(Splice, ACancelIsQuick) {
  on_this_loop([]() -> Task<> {
    for (int round = 0; round < 20; ++round) {
      Pipe source = Pipe::create().value();
      Pipe unread = Pipe::create().value();
      const std::string much(1 << 20, 'x');
      auto sending = spawn(source.writer.write_all(as_bytes(much)));
      auto splicing = spawn(splice(source.reader, unread.writer));
      for (int i = 0; i < round; ++i) co_await enter_once();
      splicing.cancel();
      EXPECT_THROW((void)co_await splicing, Cancelled);
      sending.cancel();
      EXPECT_THROW((void)co_await sending, Cancelled);
    }
  });
}

TEST_P(Splice, APeerThatIsGoneIsAStatus) {
  on_this_loop([this]() -> Task<> {
    EXPECT_TRUE((co_await write_file(path("file"), data)).ok());
    File file = (co_await File::open(path("file"), O_RDONLY)).value();
    Pipe pipe = Pipe::create().value();
    EXPECT_TRUE((co_await pipe.reader.close()).ok());
    EXPECT_EQ(status_errno((co_await splice(SpliceSource(file, 0), pipe.writer)).status()), EPIPE);
    StreamPair pair = co_await connected_pair();
    EXPECT_TRUE((co_await pair.server.close()).ok());
    absl::Status status;
    while (status.ok()) status = (co_await send_file(pair.client, file, 0)).status();  // the kernel learns it from an RST
    EXPECT_TRUE(status_errno(status) == EPIPE || status_errno(status) == ECONNRESET) << status;
  });
}

}  // namespace
}  // namespace weir
