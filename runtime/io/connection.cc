#include "weir/runtime/io/connection.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/receiver.h"
#include "weir/runtime/status.h"

namespace weir::internal {

Connection::Connection(int fd, Kernel& kernel, const SocketAddress& peer) : Descriptor(fd, Kind::kPeer, kernel) {
  if (peer.size() > short_peer_.size()) {
    long_peer_ = std::make_unique<const SocketAddress>(peer);
  } else {
    std::memcpy(short_peer_.data(), peer.data(), peer.size());
    short_peer_size_ = static_cast<uint8_t>(peer.size());
  }
}

Connection::~Connection() = default;

SocketAddress Connection::peer() const {
  if (long_peer_ != nullptr) return *long_peer_;
  sockaddr_storage storage{};
  std::memcpy(&storage, short_peer_.data(), short_peer_size_);
  return SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), short_peer_size_).value_or(SocketAddress());
}

std::string Connection::what(std::string_view operation) const {
  return absl::StrCat(absl::string_view(operation.data(), operation.size()), " ", peer().to_string());
}

absl::Status Connection::failed(std::string_view operation, int result) const {
  return errno_status(closing() && result == -EINTR ? ECANCELED : -result, what(operation));
}

void Connection::Reading::throw_second_reader(const Connection& connection) {
  throw std::logic_error(connection.what("read") +
                         ": another task reads from this stream; let one task read, or take turns with a Mutex");
}

Receiver& Connection::receiver(ReceiveBlocks& blocks) {
  if (receiver_ == nullptr) {
    receiver_ = std::make_unique<Receiver>(*this, blocks);
  } else if (!receiver_->belongs_to(blocks)) {
    receiver_->move_to(blocks);
  }
  return *receiver_;
}

Receiver* Connection::active_receiver() const {
  if (receiver_ == nullptr || !receiver_->active()) return nullptr;
  receiver_->check_here();
  return receiver_.get();
}

void Connection::stop_receiving() {
  if (receiver_ != nullptr) receiver_->stop_for_good();
}

void Connection::closing_now() noexcept {
  if (receiver_ != nullptr) receiver_->descriptor_closes();
}

}  // namespace weir::internal
