// The raw echo server: multishot accept, multishot receive from a ring of provided buffers, one enter a turn.

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "weir/tools/bench/raw/buffers.h"
#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/raw/waking_ring.h"

namespace weir::bench::raw {
namespace {

class Server final : public EchoServer {
 public:
  Server() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), eventfd_(eventfd(0, EFD_CLOEXEC)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 4096) != 0) {
      throw std::system_error(errno, std::generic_category(), "listen");
    }
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
    pthread_getcpuclockid(thread_.native_handle(), &clock_);
  }
  ~Server() override {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(eventfd_, &one, sizeof one);
    thread_.join();
    close(listener_);
    close(eventfd_);
  }
  uint16_t port() const override { return port_; }
  int64_t cpu_ns() const override { return clock_ns(clock_); }
  double calls() const override { return static_cast<double>(calls_.load(std::memory_order_relaxed)); }

 private:
  // What a completion is for, in user_data: kind in the upper half, below it a descriptor, or descriptor and buffer.
  enum Kind : uint64_t { kAccept, kReceive, kSend, kStop };
  static uint64_t tag(Kind kind, int fd, unsigned buffer = 0) {
    return uint64_t{kind} << 56 | uint64_t{buffer} << 32 | static_cast<uint32_t>(fd);
  }

  void serve() {
    Ring ring(1024, 4096);
    Buffers buffers(ring, 1024, 4096);
    uint64_t stop = 0;
    io_uring_sqe* sqe = ring.entry();
    io_uring_prep_multishot_accept(sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    sqe->user_data = tag(kAccept, 0);
    sqe = ring.entry();
    io_uring_prep_read(sqe, eventfd_, &stop, sizeof stop, 0);
    sqe->user_data = tag(kStop, 0);
    std::vector<int> open;

    for (bool going = true; going;) {
      calls_.fetch_add(1, std::memory_order_relaxed);
      io_uring_submit_and_wait(ring.get(), 1);
      unsigned head;
      unsigned seen = 0;
      io_uring_cqe* completion;
      io_uring_for_each_cqe(ring.get(), head, completion) {
        ++seen;
        const auto kind = static_cast<Kind>(completion->user_data >> 56);
        const auto fd = static_cast<int>(completion->user_data & 0xffffffff);
        switch (kind) {
          case kStop:
            going = false;
            break;
          case kAccept:
            if (completion->res < 0) break;
            open.push_back(completion->res);
            buffers.receive(ring.entry(), completion->res, tag(kReceive, completion->res));
            break;
          case kReceive: {
            if (completion->res > 0) {
              const unsigned buffer = completion->flags >> IORING_CQE_BUFFER_SHIFT;
              io_uring_sqe* send = ring.entry();
              io_uring_prep_send(send, fd, buffers.at(buffer), static_cast<size_t>(completion->res), MSG_WAITALL);
              send->user_data = tag(kSend, fd, buffer);
            }
            if ((completion->flags & IORING_CQE_F_MORE) == 0 && (completion->res > 0 || completion->res == -ENOBUFS)) {
              buffers.receive(ring.entry(), fd, tag(kReceive, fd));
            }
            break;
          }
          case kSend:
            buffers.give_back(static_cast<unsigned>(completion->user_data >> 32 & 0xffffff));
            break;
        }
      }
      buffers.publish();
      io_uring_cq_advance(ring.get(), seen);
    }
    for (const int fd : open) close(fd);
  }

  const int listener_;
  const int eventfd_;
  uint16_t port_ = 0;
  clockid_t clock_{};
  std::atomic<uint64_t> calls_{0};
  std::thread thread_;
};

}  // namespace

MakeEchoServer echo_server() {
  return [] { return std::make_unique<Server>(); };
}

}  // namespace weir::bench::raw
