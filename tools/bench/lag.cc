// How late a loop comes to what is due, while it has much to do: 512 connections that ask all the time, and four streams.

#include <pthread.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/bridge/generator.h"
#include "weir/bridge/iterable.h"
#include "weir/bridge/sync_await.h"
#include "weir/runtime/io/serve.h"
#include "weir/runtime/io/tcp.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/sync/event.h"
#include "weir/runtime/time.h"
#include "weir/tools/bench/answer.h"
#include "weir/tools/bench/echo_server.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/rows.h"
#include "weir/tools/bench/statistics.h"

namespace weir::bench {
namespace {

constexpr unsigned kConnections = 512;
constexpr int kStreams = 4;
constexpr absl::Duration kBeat = absl::Microseconds(200);

Generator<int> items() {
  for (;;) {
    for (int i = 0; i < 16; ++i) co_yield i;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

Task<> read_items() {
  auto it = threaded_iterable(items, {.max_size = 128})();
  while (co_await it.next()) {
  }
}

class BusyServer final : public EchoServer {
 public:
  BusyServer() : listener_(*TcpListener::bind(*SocketAddress::parse("127.0.0.1:0"))), handle_(*loop_) {
    thread_ = std::thread([this] {
      loop_->run(serve_until_stopped());
      loop_.reset();
    });
    pthread_getcpuclockid(thread_.native_handle(), &clock_);
  }
  ~BusyServer() override {
    handle_.post([this] { stop_.set(); });
    thread_.join();
  }
  uint16_t port() const override { return listener_.local_address().port(); }
  int64_t cpu_ns() const override { return clock_ns(clock_); }
  double calls() const override { return static_cast<double>(loop_->stats().enters); }

  // How late, in nanoseconds, each beat since the last call came.
  std::vector<double> take_lags() {
    const auto take = [this]() -> Task<std::vector<double>> { co_return std::exchange(lags_, {}); };
    return sync_wait_coroutine(handle_, take);
  }

 private:
  Task<> serve_until_stopped() {
    std::vector<JoinHandle<>> streams;
    for (int i = 0; i < kStreams; ++i) streams.push_back(spawn(read_items()));
    co_await race(serve(listener_, answer<TcpStream>), beat(), stop_.wait());
    for (JoinHandle<>& stream : streams) stream.cancel();
  }

  Task<> beat() {
    for (;;) {
      const int64_t due_ns = now_ns() + absl::ToInt64Nanoseconds(kBeat);
      co_await sleep_for(kBeat);
      lags_.push_back(static_cast<double>(now_ns() - due_ns));
    }
  }

  TcpListener listener_;
  Event stop_;
  std::vector<double> lags_;  // the loop's
  std::unique_ptr<Loop> loop_ = make_loop();
  const LoopHandle handle_;
  clockid_t clock_{};
  std::thread thread_;
};

class Lag final : public Side {
 public:
  explicit Lag(double fraction) : fraction_(fraction) {
    const auto make = [this] {
      auto server = std::make_unique<BusyServer>();
      server_ = server.get();
      return server;
    };
    load_ = echo(make, kConnections, EchoValue::kServerCpu)();
  }
  Measured run(uint64_t count) override {
    (void)server_->take_lags();
    const Measured load = load_->run(count);
    std::vector<double> lags = server_->take_lags();
    if (lags.empty()) throw std::runtime_error("no timer was served");
    Measured measured(quantile(std::move(lags), fraction_));
    measured.cpu_ns = load.cpu_ns;
    return measured;
  }

 private:
  const double fraction_;
  BusyServer* server_ = nullptr;  // the load's
  std::unique_ptr<Side> load_;
};

}  // namespace

void add_lag_rows(Rows& rows, const Settings& settings) {
  const uint64_t requests = settings.quick ? 20'000 : 300'000;
  const auto add = [&rows, requests](const std::string& name, const std::string& what, double fraction) {
    rows.push_back({.name = "lag/" + name, .what = what, .sides = {{"weir", [fraction] { return std::make_unique<Lag>(fraction); }}},
                    .count = requests, .rounds = 5});
  };
  add("p50", "how late a timer is served under 512 busy connections and four streams, p50", 0.5);
  add("p99", "the same, p99", 0.99);
  add("p999", "the same, p999", 0.999);
}

}  // namespace weir::bench
