// The connections of a listener for one that takes them all, as serve() does: a multishot accept, where the kernel has it.
//
// From the first next() on the kernel accepts by itself, until close(), or an error (no descriptors left), after which the
// next next() begins anew. Before Linux 5.19 each next() is an accept of its own.
// Cancelling next() stops the kernel and waits for it; a connection that came nevertheless is its result, or the next one's.
// One task at a time. Loop's thread.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/address.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/task.h"

namespace weir::internal {

// A socket that listens, as its owner and the coroutines that use it share it.
class Listening final : public Descriptor {
 public:
  Listening(int fd, Kernel& kernel, const SocketAddress& address) noexcept
      : Descriptor(fd, Kind::kPeer, kernel), address_(address) {}

  const SocketAddress& address() const noexcept { return address_; }
  // The status of an accept that failed; `result` is negative.
  absl::Status failed(int result) const;

  // bind() has made this path, if it is any: it goes with the listener, unless that is released.
  void own_path(std::string path);
  // Not what another has put in its place meanwhile; and not in a child that was forked off.
  void remove_path() noexcept;

 private:
  ~Listening() override {
    if (fd() >= 0) remove_path();  // neither closed, where it went already, nor released
  }

  const SocketAddress address_;
  std::string path_;  // empty: none, or gone
  FileIdentity identity_;
  int process_ = 0;
};

using ListeningRef = DescriptorRef<Listening>;

// One connection.
Task<absl::StatusOr<OwnedDescriptor>> accept_from(ListeningRef listening);

class AcceptSource {
 public:
  explicit AcceptSource(ListeningRef listening);
  AcceptSource(AcceptSource&&) noexcept;
  ~AcceptSource();  // after close(), or never used

  Task<absl::StatusOr<OwnedDescriptor>> next();
  // Stops the kernel and closes the connections that nobody has taken.
  Task<void> close();

 private:
  class Request;
  static Task<absl::StatusOr<OwnedDescriptor>> next_of(Request& request);
  static Task<void> close_request(Request& request);

  std::unique_ptr<Request> request_;
};

}  // namespace weir::internal
