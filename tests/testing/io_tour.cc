#include "weir/tests/testing/io_tour.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/sockets.h"

namespace weir::testing {
namespace {

// Whether a call went as the tour demands, and so whether what comes next makes sense.
class Checks {
 public:
  explicit Checks(IoTour kind) : kind_(kind) {}

  bool went(const char* call, const absl::Status& status) const {
    if (status.ok()) return true;
    const bool said_so = kind_ == IoTour::kOrSaySo && status.code() == absl::StatusCode::kUnimplemented;
    EXPECT_TRUE(said_so) << call << ": " << status;
    return false;
  }
  template <class T>
  bool went(const char* call, const absl::StatusOr<T>& result) const {
    return went(call, result.status());
  }
  // For what some file systems have not.
  bool went_or_is_not_there(const char* call, const absl::Status& status) const {
    return status_errno(status) == EOPNOTSUPP || went(call, status);
  }

 private:
  const IoTour kind_;
};

Task<> both_ways(Checks checks, const char* name, TcpStream& one, TcpStream& other) {
  std::string text(5, '\0');
  if (!checks.went(name, co_await one.write_all(as_bytes("hello")))) co_return;
  if (!checks.went(name, co_await other.read_exact(writable_bytes(text)))) co_return;
  EXPECT_EQ(text, "hello");
  const std::vector<absl::Span<const std::byte>> parts = {as_bytes("ab"), as_bytes("cde")};
  if (checks.went(name, co_await other.write_all(parts))) {
    if (checks.went(name, co_await one.read_exact(writable_bytes(text)))) {
      EXPECT_EQ(text, "abcde");
    }
  }
  if (checks.went(name, co_await one.shutdown())) {
    const absl::StatusOr<std::size_t> end = co_await other.read(writable_bytes(text));
    if (checks.went(name, end)) {
      EXPECT_EQ(*end, 0u);
    }
  }
  checks.went(name, co_await one.close());
  checks.went(name, co_await other.close());
}

Task<> tcp(Checks checks) {
  TcpListener listener = TcpListener::bind(loopback()).value();
  auto accepting = spawn(listener.accept());
  absl::StatusOr<TcpStream> client = co_await TcpStream::connect(listener.local_address());
  if (!checks.went("connect", client)) co_return;
  absl::StatusOr<TcpStream> server = co_await std::move(accepting);
  if (!checks.went("accept", server)) co_return;
  if (checks.went("write", co_await client->write_all(as_bytes("x")))) {
    const absl::StatusOr<Buffer> got = co_await server->receive();
    if (checks.went("receive", got)) {
      EXPECT_EQ(as_text(got->span()), "x");
    }
  }
  co_await both_ways(checks, "tcp", *client, *server);
  checks.went("close", co_await listener.close());
}

Task<> unix_stream(Checks checks, const TemporaryFolder& folder) {
  auto listener = UnixListener::bind(SocketAddress::parse("unix:" + folder.file("socket")).value());
  if (!checks.went("bind", listener)) co_return;
  auto accepting = spawn(listener->accept());
  absl::StatusOr<UnixStream> client = co_await UnixStream::connect(listener->local_address());
  if (!checks.went("connect", client)) co_return;
  absl::StatusOr<UnixStream> server = co_await std::move(accepting);
  if (!checks.went("accept", server)) co_return;
  if (!checks.went("write", co_await client->write_all(as_bytes("x")))) co_return;
  std::string text(1, '\0');
  checks.went("read", co_await server->read_exact(writable_bytes(text)));
}

Task<> udp(Checks checks) {
  UdpSocket one = UdpSocket::bind(loopback()).value();
  UdpSocket other = UdpSocket::bind(loopback()).value();
  if (!checks.went("send_to", co_await one.send_to(as_bytes("hello"), other.local_address()))) co_return;
  std::string text(8, '\0');
  const absl::StatusOr<Datagram> got = co_await other.receive_from(writable_bytes(text));
  if (checks.went("receive_from", got)) {
    EXPECT_EQ(got->size, 5u);
  }
  checks.went("close", co_await one.close());
}

Task<> pipes_and_polls(Checks checks) {
  Pipe pipe = Pipe::create().value();
  if (!checks.went("write pipe", co_await pipe.writer.write_all(as_bytes("x")))) co_return;
  const absl::StatusOr<short> events = co_await poll(pipe.reader.fd(), POLLIN);
  if (checks.went("poll", events)) {
    EXPECT_EQ(*events, POLLIN);
  }
  std::string text(1, '\0');
  checks.went("read pipe", co_await pipe.reader.read_exact(writable_bytes(text)));
  checks.went("close pipe", co_await pipe.writer.close());
}

Task<> signals_and_children(Checks checks) {
  absl::StatusOr<SignalSet> signals = SignalSet::create({SIGUSR1});
  if (!checks.went("SignalSet", signals)) co_return;
  pthread_kill(pthread_self(), SIGUSR1);
  checks.went("next", co_await signals->next());
  checks.went("close", co_await signals->close());
  const std::vector<std::string> command = {"true"};
  absl::StatusOr<Process> child = co_await Process::spawn(command);
  if (!checks.went("spawn", child)) co_return;
  checks.went("wait", co_await child->wait());
  checks.went("close", co_await child->close());
}

// Through registered memory.
Task<> leased(Checks checks, File& file) {
  absl::StatusOr<BufferPool> pool = BufferPool::create(Loop::current(), {.count = 1, .size = 4096});
  if (!checks.went("BufferPool", pool)) co_return;
  Buffer buffer = co_await pool->acquire();
  std::fill(buffer.span().begin(), buffer.span().end(), std::byte{'b'});
  if (!checks.went("write_at", co_await file.write_at(buffer, 0))) co_return;
  std::fill(buffer.span().begin(), buffer.span().end(), std::byte{0});
  if (checks.went("read_at", co_await file.read_at(buffer, 0))) {
    EXPECT_EQ(buffer.span()[4095], std::byte{'b'});
  }
}

Task<> shapes(Checks checks, File& file) {
  checks.went("fsync", co_await file.fsync());
  checks.went("fdatasync", co_await file.fdatasync());
  checks.went_or_is_not_there("allocate", co_await file.allocate(0, 65536));
  checks.went_or_is_not_there("punch_hole", co_await file.punch_hole(4096, 4096));
  if (checks.went("truncate", co_await file.truncate(100))) {
    const absl::StatusOr<uint64_t> size = co_await file.size();
    if (checks.went("size", size)) {
      EXPECT_EQ(*size, 100u);
    }
  }
  checks.went("stat", co_await file.stat());
  const absl::StatusOr<IoAlignment> alignment = co_await file.io_alignment();
  if (!alignment.ok()) {
    EXPECT_EQ(alignment.status().code(), absl::StatusCode::kUnimplemented) << alignment.status();
  }
}

}  // namespace

Task<> tour_of_files(const TemporaryFolder& folder, IoTour kind) {
  const Checks checks(kind);
  absl::StatusOr<File> file = co_await File::open(folder.file("file"), O_RDWR | O_CREAT);
  if (!checks.went("open", file)) co_return;
  std::string text(5, '\0');
  if (checks.went("write_all_at", co_await file->write_all_at(as_bytes("hello"), 0))) {
    if (checks.went("read_exact_at", co_await file->read_exact_at(writable_bytes(text), 0))) {
      EXPECT_EQ(text, "hello");
    }
  }
  const std::vector<absl::Span<const std::byte>> parts = {as_bytes("ab"), as_bytes("cde")};
  if (checks.went("writev_at", co_await file->writev_at(parts, 5))) {
    const std::vector<absl::Span<std::byte>> spans = {writable_bytes(text).subspan(0, 2), writable_bytes(text).subspan(2)};
    if (checks.went("readv_at", co_await file->readv_at(spans, 5))) {
      EXPECT_EQ(text, "abcde");
    }
  }
  co_await leased(checks, *file);
  co_await shapes(checks, *file);
  checks.went("close", co_await file->close());
  EXPECT_EQ(status_errno((co_await File::open(folder.file("no/such"), O_RDONLY)).status()), ENOENT);
}

Task<> tour_of_paths(const TemporaryFolder& folder, IoTour kind) {
  const Checks checks(kind);
  if (checks.went("write_file", co_await write_file(folder.file("whole"), "contents"))) {
    const absl::StatusOr<std::string> text = co_await read_file(folder.file("whole"));
    if (checks.went("read_file", text)) {
      EXPECT_EQ(*text, "contents");
    }
  }
  absl::StatusOr<File> made = co_await File::open(folder.file("made"), O_WRONLY | O_CREAT);
  if (checks.went("open", made)) {
    if (checks.went("link", co_await link(folder.file("made"), folder.file("linked")))) {
      checks.went("unlink", co_await unlink(folder.file("linked")));
    }
    checks.went("stat", co_await stat(folder.file("made")));
    checks.went("rename", co_await rename(folder.file("made"), folder.file("renamed")));
  }
  if (checks.went("mkdir", co_await mkdir(folder.file("folder")))) {
    checks.went("rmdir", co_await rmdir(folder.file("folder")));
  }
  checks.went("symlink", co_await symlink("anywhere", folder.file("symlink")));
  checks.went("read_dir", co_await read_dir(folder.path()));
}

Task<> tour_of_streams(const TemporaryFolder& folder, IoTour kind) {
  const Checks checks(kind);
  co_await tcp(checks);
  co_await unix_stream(checks, folder);
  co_await udp(checks);
  co_await pipes_and_polls(checks);
  co_await signals_and_children(checks);
}

}  // namespace weir::testing
