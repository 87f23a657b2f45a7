// Asio as it comes: epoll.

#include "weir/tools/bench/peers/asio_echo.h"
#include "weir/tools/bench/peers/peers.h"

namespace weir::bench::peers {

MakeEchoServer asio_epoll_echo_server() {
#if defined(WEIR_BENCH_ASIO)
  return [] { return std::make_unique<Server>(); };
#else
  return {};
#endif
}

#if defined(WEIR_BENCH_ASIO)
namespace {

// Jobs to a pool of one thread, and their results posted back.
class Calls final : public Side {
 public:
  explicit Calls(unsigned in_flight) : in_flight_(in_flight) {}
  Measured run(uint64_t count) override {
    return time_of(count, [&] {
      left_ = count;
      done_ = 0;
      auto work = asio::make_work_guard(context_);
      context_.restart();
      finish_ = [&work] { work.reset(); };
      for (unsigned i = 0; i < in_flight_ && left_ > 0; ++i) call();
      context_.run();
      if (done_ != count) throw std::logic_error("a call was lost");
    });
  }

 private:
  void call() {
    --left_;
    ++running_;
    asio::post(pool_, [this] {
      asio::post(context_, [this, result = 1] {
        done_ += result;
        --running_;
        if (left_ > 0) {
          call();
        } else if (running_ == 0) {
          finish_();
        }
      });
    });
  }

  const unsigned in_flight_;
  asio::io_context context_{1};
  asio::thread_pool pool_{1};
  std::function<void()> finish_;
  uint64_t left_ = 0, done_ = 0, running_ = 0;
};

}  // namespace
#endif

MakeSide asio_calls([[maybe_unused]] unsigned in_flight) {
#if defined(WEIR_BENCH_ASIO)
  return [in_flight] { return std::make_unique<Calls>(in_flight); };
#else
  return {};
#endif
}

}  // namespace weir::bench::peers
