#include "weir/runtime/io/serve.h"

#include <algorithm>

namespace weir::internal {

absl::Duration AcceptPause::after(const absl::Status& status) {
  switch (status_errno(status)) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    // Errors of the network that accept(2) hands on; the listener is as good as before.
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EAGAIN:
    case EPERM:  // a firewall's
      return std::exchange(pause_, std::min(2 * pause_, kLast));
    default:
      return absl::ZeroDuration();
  }
}

}  // namespace weir::internal
