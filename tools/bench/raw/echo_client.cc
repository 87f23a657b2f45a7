// The client of every echo server: one thread, one ring, so cheap that the server is never idle for its sake.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "weir/tools/bench/echo_server.h"
#include "weir/tools/bench/raw/buffers.h"
#include "weir/tools/bench/statistics.h"

namespace weir::bench {
namespace {

constexpr size_t kRequestBytes = 64;

class Echo final : public Side {
 public:
  Echo(std::unique_ptr<EchoServer> server, unsigned connections, EchoValue value)
      : server_(std::move(server)), value_(value), connections_(connections) {
    for (Connection& connection : connections_) connection.fd = connect_to(server_->port());
    for (size_t i = 0; i < connections_.size(); ++i) {
      buffers_.receive(ring_.entry(), connections_[i].fd, i);
      if (i % 256 == 255) io_uring_submit(ring_.get());
    }
  }
  ~Echo() override {
    for (const Connection& connection : connections_) close(connection.fd);
  }

  Measured run(uint64_t count) override {
    count = std::max<uint64_t>(count, connections_.size());
    std::vector<double> latencies;
    latencies.reserve(count);
    const int64_t cpu = server_->cpu_ns();
    const double calls = server_->calls();
    const int64_t began = now_ns();
    ask(count, latencies);
    const int64_t took_ns = now_ns() - began;
    const auto requests = static_cast<double>(count);
    const double cpu_ns = static_cast<double>(server_->cpu_ns() - cpu) / requests;
    Measured measured(cpu_ns);
    if (value_ == EchoValue::kTime) measured.value = static_cast<double>(took_ns) / requests;
    if (value_ == EchoValue::kTail) measured.value = quantile(latencies, 0.99) / quantile(latencies, 0.5);
    measured.cpu_ns = cpu_ns;
    measured.calls = (server_->calls() - calls) / requests;
    return measured;
  }

 private:
  struct Connection {
    int fd = -1;
    size_t received = 0;  // bytes of the present answer
    int64_t sent_ns = 0;
  };
  static constexpr uint64_t kSendTag = uint64_t{1} << 32;

  static int connect_to(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::system_error(errno, std::generic_category(), "connect");
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }

  void send(size_t index) {
    Connection& connection = connections_[index];
    connection.sent_ns = now_ns();
    io_uring_sqe* entry = ring_.entry();
    io_uring_prep_send(entry, connection.fd, request_.data(), request_.size(), MSG_WAITALL);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    entry->user_data = index | kSendTag;
  }

  void ask(uint64_t count, std::vector<double>& latencies) {
    uint64_t sent = 0;
    for (size_t i = 0; i < connections_.size(); ++i, ++sent) send(i);
    while (latencies.size() < count) {
      io_uring_submit_and_wait(ring_.get(), 1);
      const int64_t now = now_ns();
      unsigned head;
      unsigned seen = 0;
      io_uring_cqe* completion;
      io_uring_for_each_cqe(ring_.get(), head, completion) {
        ++seen;
        const auto index = static_cast<size_t>(completion->user_data & 0xffffffff);
        if (completion->res <= 0 && completion->res != -ENOBUFS) throw std::runtime_error("an echo server has hung up");
        if ((completion->user_data & kSendTag) != 0) continue;
        Connection& connection = connections_[index];
        if (completion->res > 0) {
          buffers_.give_back(completion->flags >> IORING_CQE_BUFFER_SHIFT);
          connection.received += static_cast<size_t>(completion->res);
        }
        if ((completion->flags & IORING_CQE_F_MORE) == 0) buffers_.receive(ring_.entry(), connection.fd, index);
        if (connection.received < kRequestBytes) continue;
        connection.received -= kRequestBytes;
        latencies.push_back(static_cast<double>(now - connection.sent_ns));
        if (sent < count) {
          ++sent;
          send(index);
        }
      }
      buffers_.publish();
      io_uring_cq_advance(ring_.get(), seen);
    }
  }

  std::unique_ptr<EchoServer> server_;
  const EchoValue value_;
  raw::Ring ring_{1024, 4096};
  raw::Buffers buffers_{ring_, 1024, 256};
  std::array<char, kRequestBytes> request_{};
  std::vector<Connection> connections_;
};

}  // namespace

MakeSide echo(MakeEchoServer make, unsigned connections, EchoValue value) {
  return [make = std::move(make), connections, value] { return std::make_unique<Echo>(make(), connections, value); };
}

}  // namespace weir::bench
