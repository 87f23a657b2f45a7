// poll: waits until a descriptor that is somebody else's can be read or written.
//
//   absl::StatusOr<short> events = co_await weir::poll(PQsocket(connection), POLLIN);
//
// For libraries that have their own descriptors. Gives the events that hold, POLLERR and POLLHUP among them, as poll(2)
// does. The descriptor must stay open until the co_await has ended: weir does not hold it. Loop's thread.
// Cancelling: the poll is cancelled and waited for. Cost: a Task's frame, no system call of its own.
#pragma once

#include <poll.h>

#include "absl/status/statusor.h"
#include "weir/runtime/task.h"

namespace weir {

Task<absl::StatusOr<short>> poll(int fd, short events);

}  // namespace weir
