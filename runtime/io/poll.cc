#include "weir/runtime/io/poll.h"

#include "absl/strings/str_cat.h"
#include "weir/runtime/descriptor.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir {

Task<absl::StatusOr<short>> poll(int fd, short events) {
  const int result = co_await internal::peer_operation([fd, events](io_uring_sqe* sqe) noexcept {
    io_uring_prep_poll_add(sqe, fd, static_cast<unsigned short>(events));
  });
  if (result < 0) co_return internal::errno_status(-result, absl::StrCat("poll fd ", fd));
  co_return static_cast<short>(result);
}

}  // namespace weir
