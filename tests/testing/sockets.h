// Connected pairs of streams, and turns of the loop, for the tests of sockets.
#pragma once

#include <random>
#include <utility>

#include "weir/runtime/io/tcp.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tests/testing/io.h"

namespace weir::testing {

// Enters the kernel once: what was started before is in flight afterwards.
inline Task<> enter_once() {
  (void)co_await submit([](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
}

// A pause of 0 to 7 steps, some of which enter the kernel.
inline Task<> random_pause(std::mt19937& random) {
  for (unsigned steps = random() % 8; steps != 0; --steps) {
    if (random() % 2 == 0) {
      co_await yield();
    } else {
      co_await enter_once();
    }
  }
}

class StreamPair {
 public:
  StreamPair(TcpStream first, TcpStream second) : client(std::move(first)), server(std::move(second)) {}
  TcpStream client;
  TcpStream server;
};

// Both ends of a connection over loopback.
inline Task<StreamPair> connected_pair() {
  TcpListener listener = TcpListener::bind(loopback()).value();
  auto accepting = spawn(listener.accept());
  TcpStream client = (co_await TcpStream::connect(listener.local_address())).value();
  TcpStream server = (co_await std::move(accepting)).value();
  co_return StreamPair(std::move(client), std::move(server));
}

}  // namespace weir::testing
