// Programs that are started for a comparison: services, and those that run to their end.
#pragma once

#include <time.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "weir/runtime/io/process.h"
#include "weir/runtime/task.h"

namespace weir::bench {

// A service at a port of 127.0.0.1; killed when it is dropped.
class Service {
 public:
  // Waits until it accepts connections. Throws std::runtime_error when it does not.
  static Task<Service> start(std::vector<std::string> command, uint16_t port);

  uint16_t port() const { return port_; }
  int64_t cpu_ns() const;  // of all its threads, so far

 private:
  Service(Process process, uint16_t port, clockid_t clock) : process_(std::move(process)), port_(port), clock_(clock) {}

  Process process_;
  uint16_t port_;
  clockid_t clock_;
};

// A port of 127.0.0.1 at which nobody listens now.
uint16_t free_port();

// What a program prints; killed after `limit`. Throws std::runtime_error when it fails, or is late.
Task<std::string> output_of(std::vector<std::string> command, absl::Duration limit);

}  // namespace weir::bench
