// What TcpListener and UnixListener have in common: a socket that connections come in at.
//
// bind() is a few system calls made at once, and needs no loop. accept() takes a connection only while somebody waits:
// the others stay in the kernel's backlog. Several tasks may wait; each gets a connection of its own.
// Cancelling accept(): a connection that came in spite of it is returned. EMFILE and ENFILE are a Status like any other:
// the connection stays in the backlog, try again when descriptors are free (serve() does).
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/accept_source.h"
#include "weir/runtime/io/address.h"
#include "weir/runtime/task.h"

namespace weir {

struct ListenOptions {
  int backlog = 4096;         // connections that wait for accept(); the kernel has a limit of its own, somaxconn
  bool reuse_address = true;  // although connections of a former listener linger
  bool reuse_port = false;    // several listeners on one port share its connections
};

namespace internal {

class SocketListener {
 public:
  // Where it listens; a port that the kernel chose is in it.
  SocketAddress local_address() const;

  // Cancels what waits in accept(), waits for it, closes. Idempotent.
  Task<absl::Status> close();

  int fd() const noexcept { return descriptor_.fd(); }  // -1 when closed
  // The number, for the caller to keep. std::logic_error while somebody waits in accept().
  int release() { return descriptor_.release(); }

 protected:
  explicit SocketListener(OwnedDescriptor listening) noexcept : descriptor_(std::move(listening)) {}
  ~SocketListener() = default;
  SocketListener(SocketListener&&) noexcept = default;
  SocketListener& operator=(SocketListener&&) noexcept = default;

  static absl::StatusOr<OwnedDescriptor> bind_to(const SocketAddress& address, const ListenOptions& options);
  static OwnedDescriptor adopt(int fd);

  Task<absl::StatusOr<OwnedDescriptor>> accept_connection();
  AcceptSource accept_source();  // for serve()

 private:
  DescriptorRef<Listening> held(std::string_view what) const;

  OwnedDescriptor descriptor_;
};

}  // namespace internal
}  // namespace weir
