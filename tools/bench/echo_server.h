// TCP echo servers to be compared, each on a thread of its own, and the client that asks them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "weir/tools/bench/side.h"

namespace weir::bench {

class EchoServer {
 public:
  virtual ~EchoServer() = default;  // closes what is open, ends the thread
  virtual uint16_t port() const = 0;
  virtual int64_t cpu_ns() const = 0;        // CPU time of the thread so far
  virtual double calls() const { return NAN; }  // system calls of the thread so far
};

using MakeEchoServer = std::function<std::unique_ptr<EchoServer>()>;

// What is compared: the server's CPU time per request, the client's latency p99 / p50, or the time between requests.
enum class EchoValue { kServerCpu, kTail, kTime };

// `connections` that each send 64 bytes and wait for them, from the main thread.
MakeSide echo(MakeEchoServer make, unsigned connections, EchoValue value);

}  // namespace weir::bench
