#include "weir/tools/bench/services/service.h"

#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/tcp.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/runtime/timeout.h"
#include "weir/tools/bench/side.h"

namespace weir::bench {
namespace {

constexpr absl::Duration kStartMax = absl::Seconds(10);

template <class T>
T value_or_throw(absl::StatusOr<T> result) {
  if (!result.ok()) throw std::runtime_error(std::string(result.status().message()));
  return *std::move(result);
}

SocketAddress local(uint16_t port) { return *SocketAddress::parse(absl::StrCat("127.0.0.1:", port)); }

// Until it accepts one.
Task<> connect_to(uint16_t port) {
  for (;;) {
    const absl::StatusOr<TcpStream> client = co_await TcpStream::connect(local(port));
    if (client.ok()) co_return;
    co_await sleep_for(absl::Milliseconds(10));
  }
}

Task<std::string> run_to_the_end(std::vector<std::string> command) {
  const std::string name = command[0];
  const ProcessOptions options{.input = ChildStream::null(), .output = ChildStream::pipe(), .errors = ChildStream::null()};
  absl::StatusOr<Process> started = co_await Process::spawn(std::move(command), options);
  Process process = value_or_throw(std::move(started));
  std::string text;
  std::string block(65'536, '\0');
  for (;;) {
    const absl::StatusOr<size_t> count = co_await process.output().read(writable_bytes(block));
    if (value_or_throw(count) == 0) break;
    text.append(block, 0, *count);
  }
  const absl::StatusOr<ExitStatus> end = co_await process.wait();
  if (!value_or_throw(end).ok()) throw std::runtime_error(absl::StrCat(name, " ended with ", end->to_string()));
  co_return text;
}

}  // namespace

Task<Service> Service::start(std::vector<std::string> command, uint16_t port) {
  const std::string name = command[0];
  const ProcessOptions options{.input = ChildStream::null(), .output = ChildStream::null(), .errors = ChildStream::null()};
  absl::StatusOr<Process> started = co_await Process::spawn(std::move(command), options);
  Process process = value_or_throw(std::move(started));
  const absl::Status listens = co_await timeout(kStartMax, connect_to(port));
  clockid_t clock{};
  if (!listens.ok() || ::clock_getcpuclockid(process.pid(), &clock) != 0) throw std::runtime_error(absl::StrCat(name, " does not serve"));
  co_return Service(std::move(process), port, clock);
}

int64_t Service::cpu_ns() const { return clock_ns(clock_); }

uint16_t free_port() { return value_or_throw(TcpListener::bind(local(0))).local_address().port(); }

Task<std::string> output_of(std::vector<std::string> command, absl::Duration limit) {
  const std::string name = command[0];
  absl::StatusOr<std::string> text = co_await timeout(limit, run_to_the_end(std::move(command)));
  if (!text.ok()) throw std::runtime_error(absl::StrCat(name, " took longer than ", absl::FormatDuration(limit)));
  co_return *std::move(text);
}

}  // namespace weir::bench
