// Asio with io_uring in epoll's place. The two are one library's headers with other settings: under another name of its
// namespace the functions of one do not get mixed up with those of the other.

#if defined(WEIR_BENCH_ASIO)
#define ASIO_HAS_IO_URING 1
#define ASIO_DISABLE_EPOLL 1
#define asio asio_on_io_uring
#endif

#include "weir/tools/bench/peers/asio_echo.h"
#include "weir/tools/bench/peers/peers.h"

namespace weir::bench::peers {

MakeEchoServer asio_uring_echo_server() {
#if defined(WEIR_BENCH_ASIO)
  return [] { return std::make_unique<Server>(); };
#else
  return {};
#endif
}

}  // namespace weir::bench::peers
