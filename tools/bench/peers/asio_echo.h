// An echo server of Asio, for whatever backend the including source has chosen.
#if defined(WEIR_BENCH_ASIO)

#include <pthread.h>

#include <array>
#include <memory>
#include <thread>

#include <asio.hpp>

#include "weir/tools/bench/echo_server.h"

namespace weir::bench::peers {
namespace {

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}
  void read() {
    socket_.async_read_some(asio::buffer(bytes_), [self = shared_from_this()](std::error_code error, size_t count) {
      if (!error) self->write(count);
    });
  }

 private:
  void write(size_t count) {
    asio::async_write(socket_, asio::buffer(bytes_, count), [self = shared_from_this()](std::error_code error, size_t) {
      if (!error) self->read();
    });
  }

  asio::ip::tcp::socket socket_;
  std::array<char, 4096> bytes_;
};

class Server final : public EchoServer {
 public:
  Server() {
    accept();
    thread_ = std::thread([this] { context_.run(); });
    pthread_getcpuclockid(thread_.native_handle(), &clock_);
  }
  ~Server() override {
    context_.stop();
    thread_.join();
  }
  uint16_t port() const override { return acceptor_.local_endpoint().port(); }
  int64_t cpu_ns() const override { return clock_ns(clock_); }

 private:
  void accept() {
    acceptor_.async_accept([this](std::error_code error, asio::ip::tcp::socket socket) {
      if (error) return;
      std::make_shared<Session>(std::move(socket))->read();
      accept();
    });
  }

  asio::io_context context_{1};
  asio::ip::tcp::acceptor acceptor_{context_, {asio::ip::address_v4::loopback(), 0}};
  clockid_t clock_{};
  std::thread thread_;
};

}  // namespace
}  // namespace weir::bench::peers

#endif
