#include "weir/runtime/io/pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "weir/runtime.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

TEST(Pipe, CarriesBytes) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    Pipe pipe = Pipe::create().value();
    EXPECT_TRUE(fcntl(pipe.reader.fd(), F_GETFD) & FD_CLOEXEC);
    const std::string sent(1 << 20, 'x');  // more than a pipe holds
    std::string got(sent.size(), '\0');
    auto reading = spawn(pipe.reader.read_exact(writable_bytes(got)));
    EXPECT_TRUE((co_await pipe.writer.write_all(as_bytes(sent))).ok());
    EXPECT_TRUE((co_await reading).ok());
    EXPECT_TRUE(got == sent);
    EXPECT_TRUE((co_await pipe.writer.write_all(as_bytes("abc"))).ok());
    EXPECT_TRUE((co_await pipe.writer.close()).ok());
    const absl::Status end = co_await pipe.reader.read_exact(writable_bytes(got));
    EXPECT_EQ(end.message(), "read pipe: end of pipe after 3 of 1048576 bytes");
    EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ((co_await pipe.reader.read(writable_bytes(got))).value(), 0u);
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Pipe, WithoutReadersIsAStatus) {
  on_loop([]() -> Task<> {
    Pipe pipe = Pipe::create().value();
    EXPECT_TRUE((co_await pipe.reader.close()).ok());
    const absl::Status status = co_await pipe.writer.write_all(as_bytes("x"));
    EXPECT_EQ(status.message(), "write pipe: Broken pipe");
    EXPECT_EQ(status_errno((co_await pipe.writer.write(as_bytes("x"))).status()), EPIPE);
    sigset_t pending;
    sigpending(&pending);
    EXPECT_FALSE(sigismember(&pending, SIGPIPE));
  });
}

TEST(Pipe, AReaderThatGoesWhileAWriterWaits) {
  on_loop([]() -> Task<> {
    Pipe pipe = Pipe::create().value();
    const std::string much(1 << 20, 'x');
    auto writing = spawn(pipe.writer.write_all(as_bytes(much)));
    co_await enter_once();
    co_await enter_once();
    EXPECT_TRUE((co_await pipe.reader.close()).ok());
    EXPECT_EQ(status_errno(co_await writing), EPIPE);
  });
}

TEST(Pipe, ClosingAndCancellingEndARead) {
  on_loop([]() -> Task<> {
    Pipe pipe = Pipe::create().value();
    std::string text(4, '\0');
    auto reading = spawn(pipe.reader.read(writable_bytes(text)));
    co_await enter_once();
    reading.cancel();
    EXPECT_THROW((void)co_await reading, Cancelled);
    auto again = spawn(pipe.reader.read(writable_bytes(text)));
    co_await enter_once();
    EXPECT_TRUE((co_await pipe.reader.close()).ok());
    EXPECT_EQ((co_await again).status().code(), absl::StatusCode::kCancelled);
    EXPECT_THROW((void)pipe.reader.read(writable_bytes(text)), std::logic_error);
  });
}

TEST(Pipe, ACloseMayOutliveItsOwner) {
  on_loop([]() -> Task<> {
    auto pipe = std::make_unique<Pipe>(Pipe::create().value());
    const int fd = pipe->writer.fd();
    auto closing = spawn(pipe->writer.close());
    EXPECT_EQ(pipe->writer.fd(), -1) << "from the call on";
    pipe.reset();
    EXPECT_TRUE((co_await closing).ok());
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
    auto unawaited = std::make_unique<Pipe>(Pipe::create().value());
    const int other = unawaited->writer.fd();
    { const Task<absl::Status> dropped = unawaited->writer.close(); }
    EXPECT_EQ(::fcntl(other, F_GETFD), -1);
  });
}

}  // namespace
}  // namespace weir
