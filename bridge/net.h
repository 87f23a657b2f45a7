// Names of hosts, into addresses.
//
//   auto addresses = co_await weir::resolve("localhost", "80");
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weir/runtime/io/address.h"
#include "weir/runtime/task.h"

namespace weir {

// getaddrinfo(3) for stream sockets, on the loop's pool; the addresses in its order. `service` is a port or a name of
// /etc/services. The error names host, service and cause. Cancelling leaves a running look-up behind.
Task<absl::StatusOr<std::vector<SocketAddress>>> resolve(std::string host, std::string service);

}  // namespace weir
