// TCP echo: weir's server beside a raw one, Asio's and libuv's.

#include <pthread.h>

#include <string>
#include <thread>

#include "weir/runtime/io/serve.h"
#include "weir/runtime/io/tcp.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/sync/event.h"
#include "weir/tools/bench/echo_server.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/peers/peers.h"
#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {
namespace {

Task<> answer(TcpStream stream) {
  for (;;) {
    const absl::StatusOr<Buffer> piece = co_await stream.receive();
    if (!piece.ok() || piece->empty()) co_return;
    const absl::Status written = co_await stream.write_all(*piece);
    if (!written.ok()) co_return;
  }
}

class Server final : public EchoServer {
 public:
  Server() : listener_(*TcpListener::bind(*SocketAddress::parse("127.0.0.1:0"))), handle_(*loop_) {
    thread_ = std::thread([this] {
      loop_->run(serve_until_stopped());
      loop_.reset();
    });
    pthread_getcpuclockid(thread_.native_handle(), &clock_);
  }
  ~Server() override {
    handle_.post([this] { stop_.set(); });
    thread_.join();
  }
  uint16_t port() const override { return listener_.local_address().port(); }
  int64_t cpu_ns() const override { return clock_ns(clock_); }
  double calls() const override { return static_cast<double>(loop_->stats().enters); }

 private:
  Task<> serve_until_stopped() { co_await race(serve(listener_, answer), stop_.wait()); }

  TcpListener listener_;
  Event stop_;
  std::unique_ptr<Loop> loop_ = make_loop();
  const LoopHandle handle_;
  clockid_t clock_{};
  std::thread thread_;
};

std::unique_ptr<EchoServer> make_server() { return std::make_unique<Server>(); }

Row echo_row(const std::string& name, const std::string& what, unsigned connections, EchoValue value, double goal) {
  Row row;
  row.name = name;
  row.what = what;
  if (value == EchoValue::kTail) row.unit = "";
  row.goals.ratio = goal;
  row.count_min = 20 * connections;
  row.sides = {{"weir", echo(make_server, connections, value)}, {"raw", echo(raw::echo_server(), connections, value)}};
  for (const auto& [peer, make] : peers::echo_servers()) row.sides.push_back({peer, echo(make, connections, value)});
  return row;
}

}  // namespace

void add_echo_rows(Rows& rows) {
  rows.push_back(echo_row("echo/64", "TCP echo of 64 bytes, 64 connections, CPU of the server a request", 64, EchoValue::kServerCpu, 1.10));
  rows.push_back(echo_row("echo/512", "the same, 512 connections", 512, EchoValue::kServerCpu, 1.12));
  rows.push_back(echo_row("echo/512/tail", "the same, latency p99 / p50", 512, EchoValue::kTail, 1.2));
}

}  // namespace weir::bench
