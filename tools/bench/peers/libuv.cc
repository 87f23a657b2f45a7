#include "weir/tools/bench/peers/peers.h"

#if defined(WEIR_BENCH_LIBUV)

#include <netinet/in.h>
#include <pthread.h>
#include <uv.h>

#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

namespace weir::bench::peers {
namespace {

class Server final : public EchoServer {
 public:
  Server() {
    uv_loop_init(&loop_);
    uv_async_init(&loop_, &stop_, [](uv_async_t* stop) { uv_stop(stop->loop); });
    stop_.data = this;  // not null: not a connection
    uv_tcp_init(&loop_, &listener_);
    listener_.data = this;
    sockaddr_in address{};
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&listener_, reinterpret_cast<const sockaddr*>(&address), 0);
    if (uv_listen(reinterpret_cast<uv_stream_t*>(&listener_), 4096, connected) != 0) throw std::runtime_error("uv_listen");
    int size = sizeof address;
    uv_tcp_getsockname(&listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { uv_run(&loop_, UV_RUN_DEFAULT); });
    pthread_getcpuclockid(thread_.native_handle(), &clock_);
  }
  ~Server() override {
    uv_async_send(&stop_);
    thread_.join();
    uv_walk(&loop_, [](uv_handle_t* handle, void*) {
      if (uv_is_closing(handle) == 0) uv_close(handle, handle->data == nullptr ? freed : nullptr);
    }, nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }
  uint16_t port() const override { return port_; }
  int64_t cpu_ns() const override { return clock_ns(clock_); }

 private:
  struct Connection {
    uv_tcp_t stream;  // first: libuv knows it by this address
    uv_write_t write;
    char bytes[4096];
  };

  static void freed(uv_handle_t* handle) { delete reinterpret_cast<Connection*>(handle); }
  static void connected(uv_stream_t* listener, int status) {
    if (status != 0) return;
    auto* const connection = new Connection;
    uv_tcp_init(listener->loop, &connection->stream);
    connection->stream.data = nullptr;
    auto* const stream = reinterpret_cast<uv_stream_t*>(&connection->stream);
    if (uv_accept(listener, stream) != 0) return;
    uv_read_start(stream, [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
      auto* const mine = reinterpret_cast<Connection*>(handle);
      *buffer = uv_buf_init(mine->bytes, sizeof mine->bytes);
    }, received);
  }
  static void received(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
    if (count < 0) return uv_close(reinterpret_cast<uv_handle_t*>(stream), freed);
    if (count == 0) return;
    uv_buf_t answer = uv_buf_init(buffer->base, static_cast<unsigned>(count));
    uv_write(&reinterpret_cast<Connection*>(stream)->write, stream, &answer, 1, [](uv_write_t*, int) {});
  }

  uv_loop_t loop_;
  uv_async_t stop_;
  uv_tcp_t listener_;
  uint16_t port_ = 0;
  clockid_t clock_{};
  std::thread thread_;
};

class Calls final : public Side {
 public:
  explicit Calls(unsigned in_flight) : jobs_(in_flight) {
    setenv("UV_THREADPOOL_SIZE", "1", 1);
    uv_loop_init(&loop_);
    for (Job& job : jobs_) job.request.data = this;
  }
  ~Calls() override { uv_loop_close(&loop_); }

  Measured run(uint64_t count) override {
    return time_of(count, [&] {
      left_ = count;
      done_ = 0;
      for (Job& job : jobs_) {
        if (left_ > 0) call(job);
      }
      uv_run(&loop_, UV_RUN_DEFAULT);
      if (done_ != count) throw std::logic_error("a call was lost");
    });
  }

 private:
  struct Job {
    uv_work_t request;  // first: libuv knows it by this address
    uint64_t result = 0;
  };

  void call(Job& job) {
    --left_;
    uv_queue_work(&loop_, &job.request, [](uv_work_t* request) { reinterpret_cast<Job*>(request)->result = 1; },
                  [](uv_work_t* request, int) {
                    auto* const self = static_cast<Calls*>(request->data);
                    self->done_ += reinterpret_cast<Job*>(request)->result;
                    if (self->left_ > 0) self->call(*reinterpret_cast<Job*>(request));
                  });
  }

  uv_loop_t loop_;
  std::vector<Job> jobs_;
  uint64_t left_ = 0, done_ = 0;
};

}  // namespace

MakeEchoServer libuv_echo_server() {
  return [] { return std::make_unique<Server>(); };
}
MakeSide libuv_calls(unsigned in_flight) {
  return [in_flight] { return std::make_unique<Calls>(in_flight); };
}

}  // namespace weir::bench::peers

#else

namespace weir::bench::peers {

MakeEchoServer libuv_echo_server() { return {}; }
MakeSide libuv_calls(unsigned) { return {}; }

}  // namespace weir::bench::peers

#endif
