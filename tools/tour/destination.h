// Where the lines go to: a TCP connection, and whom it is with.
//
//   Destination to = co_await Destination::checked();              // to a server on this loop, which checks every digest
//   Destination to = co_await Destination::connect("127.0.0.1:9000");  // to any listener
//   co_await to.send(bytes);
//   std::string answer = co_await to.finish();
//
// Loop's thread. Errors: std::runtime_error, with one clear line; a reader that is gone shows in send() or finish().
// Dropping it closes the connection, and ends the server.
#pragma once

#include <string>
#include <string_view>

#include "weir/runtime/io/socket.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/task.h"

namespace tour {

class Destination {
 public:
  static weir::Task<Destination> checked();
  // `where` is HOST:PORT, with the address or the name of a host; the name is looked up on a thread.
  static weir::Task<Destination> connect(std::string where);

  Destination(Destination&&) = default;
  Destination& operator=(Destination&&) = delete;
  ~Destination() { server_.cancel(); }

  weir::Task<void> send(std::string_view bytes);

  // Says that no more will come. Of the server: its summary. Of another listener: what became of it, in words; it is
  // given kPatience to close its end.
  weir::Task<std::string> finish();

  const std::string& name() const noexcept { return name_; }
  bool has_server() const noexcept { return static_cast<bool>(server_); }

 private:
  Destination(weir::TcpStream stream, std::string name, weir::JoinHandle<void> server)
      : stream_(std::move(stream)), name_(std::move(name)), server_(std::move(server)) {}

  weir::Task<std::string> read_to_end();
  [[noreturn]] void closed_early(const absl::Status& status) const;

  weir::TcpStream stream_;
  std::string name_;
  weir::JoinHandle<void> server_;
};

}  // namespace tour
