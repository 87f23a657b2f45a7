#include "weir/tools/tour/destination.h"

#include <sys/socket.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "weir/bridge/net.h"
#include "weir/tools/tour/checker.h"

namespace tour {
namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;
constexpr std::size_t kAnswerMax = 4096;  // of what the other side says, no more is kept
constexpr absl::Duration kConnectPatience = absl::Seconds(10);
constexpr absl::Duration kPatience = absl::Seconds(10);

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error("tour: " + what); }

// The server: one connection, every digest computed again, one summary.
weir::Task<void> check_one(weir::TcpListener listener) {
  absl::StatusOr<weir::TcpStream> stream = co_await listener.accept();
  if (!stream.ok()) fail(std::string(stream.status().message()));
  Checker checker;
  std::string block(kBlockBytes, '\0');
  for (;;) {
    const absl::StatusOr<std::size_t> count = co_await stream->read(weir::writable_bytes(block));
    if (!count.ok()) fail(std::string(count.status().message()));
    if (*count == 0) break;
    checker.take(std::string_view(block).substr(0, *count));
  }
  const std::string summary = checker.finish();
  const absl::Status sent = co_await stream->write_all(weir::as_bytes(summary));
  if (!sent.ok()) fail(std::string(sent.message()));
}

using Addresses = std::vector<weir::SocketAddress>;

weir::Task<Addresses> look_up(std::string where) {
  const absl::StatusOr<weir::SocketAddress> numeric = weir::SocketAddress::parse(where);
  if (numeric.ok()) co_return Addresses{*numeric};
  const std::size_t colon = where.rfind(':');
  if (colon == where.npos || colon == 0 || colon + 1 == where.size()) {
    fail("--connect=" + where + ": wants HOST:PORT, such as localhost:9000");
  }
  absl::StatusOr<Addresses> addresses = co_await weir::resolve(where.substr(0, colon), where.substr(colon + 1));
  if (!addresses.ok()) fail(std::string(addresses.status().message()));
  co_return *std::move(addresses);
}

// To the first that takes the connection; a name may stand for an address of each family. The last refusal is thrown.
weir::Task<weir::TcpStream> connected(Addresses addresses) {
  std::string refusal = "no address to connect to";
  for (const weir::SocketAddress& address : addresses) {
    absl::StatusOr<weir::TcpStream> stream = co_await weir::timeout(kConnectPatience, weir::TcpStream::connect(address));
    if (stream.ok()) co_return *std::move(stream);
    refusal = absl::IsDeadlineExceeded(stream.status()) ? "connect " + address.to_string() + ": no answer for 10 seconds"
                                                        : std::string(stream.status().message());
  }
  fail(refusal);
}

}  // namespace

weir::Task<Destination> Destination::checked() {
  const absl::StatusOr<weir::SocketAddress> any_port = weir::SocketAddress::parse("127.0.0.1:0");
  absl::StatusOr<weir::TcpListener> listener = weir::TcpListener::bind(*any_port);
  if (!listener.ok()) fail(std::string(listener.status().message()));
  const weir::SocketAddress address = listener->local_address();
  weir::JoinHandle<void> server = weir::spawn(check_one(*std::move(listener)), "server");
  Addresses addresses(1, address);
  weir::TcpStream stream = co_await connected(std::move(addresses));
  co_return Destination(std::move(stream), address.to_string(), std::move(server));
}

weir::Task<Destination> Destination::connect(std::string where) {
  Addresses addresses = co_await look_up(where);
  weir::TcpStream stream = co_await connected(std::move(addresses));
  co_return Destination(std::move(stream), std::move(where), {});
}

weir::Task<void> Destination::send(std::string_view bytes) {
  const absl::Status sent = co_await stream_.write_all(weir::as_bytes(bytes));
  if (!sent.ok()) closed_early(sent);
}

weir::Task<std::string> Destination::finish() {
  const absl::Status no_more = co_await stream_.shutdown();
  if (!no_more.ok()) closed_early(no_more);
  if (has_server()) {
    std::string summary = co_await read_to_end();
    co_await std::move(server_);
    co_return summary;
  }
  const absl::StatusOr<std::string> said = co_await weir::timeout(kPatience, read_to_end());
  if (!said.ok()) co_return "the reader has not closed its end within 10 seconds; the system delivers what is left";
  co_return said->empty() ? "the reader closed its end" : "the reader said: " + *said;
}

// Also notices a reader that closed before it had read everything: the kernel answers it with a reset.
weir::Task<std::string> Destination::read_to_end() {
  std::string said;
  std::string block(kAnswerMax, '\0');
  for (;;) {
    const absl::StatusOr<std::size_t> count = co_await stream_.read(weir::writable_bytes(block));
    if (!count.ok()) closed_early(count.status());
    if (*count == 0) break;
    said += std::string_view(block).substr(0, std::min(*count, kAnswerMax - said.size()));
  }
  // The end may have been queued before the reset came.
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(stream_.fd(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
    closed_early(absl::ErrnoToStatus(error, "connection"));
  }
  co_return said;
}

void Destination::closed_early(const absl::Status& status) const {
  fail("the reader at " + name_ + " closed the connection early (" + std::string(status.message()) + ")");
}

}  // namespace tour
