// How a refusal of the kernel becomes an absl::Status.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace weir {

// The errno that `status` was made of; 0 when it was not made of one (OK, a deadline, a parse error).
int status_errno(const absl::Status& status);

namespace internal {

// "<what>: <text of error>", with the canonical code of `error` and the errno kept for status_errno(). `error` is
// positive; `what` names operation and object: "openat /etc/shadow". ECANCELED becomes kCancelled.
absl::Status errno_status(int error, std::string_view what);

}  // namespace internal
}  // namespace weir
