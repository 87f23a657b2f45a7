// TCP echo: weir's server beside a raw one, Asio's and libuv's.

#include <pthread.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "weir/runtime/io/serve.h"
#include "weir/runtime/io/tcp.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/sync/event.h"
#include "weir/tools/bench/answer.h"
#include "weir/tools/bench/echo_server.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/peers/peers.h"
#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {
namespace {

// A loop on a thread of its own that answers at a port; with others at the same port, the kernel shares out connections.
class Worker {
 public:
  explicit Worker(uint16_t port)
      : listener_(*TcpListener::bind(*SocketAddress::parse("127.0.0.1:" + std::to_string(port)), {.reuse_port = true})), handle_(*loop_) {
    thread_ = std::thread([this] {
      loop_->run(serve_until_stopped());
      loop_.reset();
    });
    pthread_getcpuclockid(thread_.native_handle(), &clock_);
  }
  ~Worker() {
    handle_.post([this] { stop_.set(); });
    thread_.join();
  }
  uint16_t port() const { return listener_.local_address().port(); }
  int64_t cpu_ns() const { return clock_ns(clock_); }
  double calls() const { return static_cast<double>(loop_->stats().enters); }

 private:
  Task<> serve_until_stopped() { co_await race(serve(listener_, answer<TcpStream>), stop_.wait()); }

  TcpListener listener_;
  Event stop_;
  std::unique_ptr<Loop> loop_ = make_loop();
  const LoopHandle handle_;
  clockid_t clock_{};
  std::thread thread_;
};

class Server final : public EchoServer {
 public:
  explicit Server(unsigned loops) {
    for (unsigned i = 0; i < loops; ++i) workers_.push_back(std::make_unique<Worker>(i == 0 ? uint16_t{0} : port()));
  }
  uint16_t port() const override { return workers_[0]->port(); }
  int64_t cpu_ns() const override {
    int64_t sum = 0;
    for (const auto& worker : workers_) sum += worker->cpu_ns();
    return sum;
  }
  double calls() const override {
    double sum = 0;
    for (const auto& worker : workers_) sum += worker->calls();
    return sum;
  }

 private:
  std::vector<std::unique_ptr<Worker>> workers_;
};

MakeEchoServer make_server(unsigned loops = 1) {
  return [loops] { return std::make_unique<Server>(loops); };
}

Row echo_row(const std::string& name, const std::string& what, unsigned connections, EchoValue value, double goal) {
  Row row;
  row.name = name;
  row.what = what;
  if (value == EchoValue::kTail) row.unit = "";
  row.goals.ratio = goal;
  row.count_min = 20 * connections;
  row.sides = {{"weir", echo(make_server(), connections, value)}, {"raw", echo(raw::echo_server(), connections, value)}};
  for (const auto& [peer, make] : peers::echo_servers()) row.sides.push_back({peer, echo(make, connections, value)});
  return row;
}

}  // namespace

void add_echo_rows(Rows& rows) {
  rows.push_back(echo_row("echo/64", "TCP echo of 64 bytes, 64 connections, CPU of the server a request", 64, EchoValue::kServerCpu, 1.10));
  rows.push_back(echo_row("echo/512", "the same, 512 connections", 512, EchoValue::kServerCpu, 1.12));
  rows.push_back(echo_row("echo/512/tail", "the same, latency p99 / p50", 512, EchoValue::kTail, 1.2));
  rows.push_back({.name = "echo/512/loops", .what = "the same, time a request: two loops at one port, and one",
                  .sides = {{"weir, two loops", echo(make_server(2), 512, EchoValue::kTime)},
                            {"weir, one loop", echo(make_server(), 512, EchoValue::kTime)}},
                  .count_min = 20 * 512});
}

}  // namespace weir::bench
