// A connected socket, as its stream and the coroutines that use it share it.
//
// Lives as long as its owner, an operation, or a coroutine refers to it (see runtime/descriptor.h). Loop's thread.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/io/address.h"

namespace weir::internal {

class ReceiveBlocks;
class Receiver;

class Connection final : public Descriptor {
 public:
  Connection(int fd, Kernel& kernel, const SocketAddress& peer);

  SocketAddress peer() const;

  // "read 127.0.0.1:80".
  std::string what(std::string_view operation) const;

  // `result` is negative. A request that a worker of the kernel had begun says EINTR when close() interrupts it.
  absl::Status failed(std::string_view operation, int result) const;

  // The one reader, for as long as it reads. A second one: std::logic_error.
  class Reading {
   public:
    explicit Reading(Connection& connection) : connection_(connection) {
      if (connection.reading_) throw_second_reader(connection);
      connection.reading_ = true;
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() { connection_.reading_ = false; }

   private:
    [[noreturn]] static void throw_second_reader(const Connection& connection);

    Connection& connection_;
  };

  // What receive() waits at, with blocks of the loop that runs here; made at first use. std::logic_error while another
  // loop receives.
  Receiver& receiver(ReceiveBlocks& blocks);
  // The same if bytes may come from it: it receives, or has some that nobody has taken; else null.
  Receiver* active_receiver() const;
  // Before the number is handed out: the kernel stops receiving. std::logic_error when bytes would be lost.
  void stop_receiving();

 private:
  ~Connection() override;
  void closing_now() noexcept override;

  // The peer takes few bytes here, as idle connections are many: a longer one than IPv6's lies on the heap.
  std::unique_ptr<const SocketAddress> long_peer_;
  std::array<std::byte, sizeof(sockaddr_in6)> short_peer_;
  uint8_t short_peer_size_ = 0;  // 0: unspecified, or long
  std::unique_ptr<Receiver> receiver_;
  bool reading_ = false;
};

using ConnectionRef = DescriptorRef<Connection>;

}  // namespace weir::internal
