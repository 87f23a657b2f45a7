#include "weir/runtime/timeout.h"

#include "absl/strings/str_cat.h"
#include "weir/runtime/engine.h"

namespace weir::internal {

DeadlineScope::DeadlineScope(absl::Duration limit)
    : root_(Root::current()), scope_(root_, CancelScope::Kind::kOpen) {
  const int64_t limit_ns = absl::ToInt64Nanoseconds(limit);  // saturates
  if (limit_ns != kNoDeadline) root_.engine().timers().arm_unsettled(*this, limit_ns);
}

DeadlineScope::~DeadlineScope() { root_.engine().timers().cancel(*this); }

absl::Status deadline_exceeded(absl::Duration limit) {
  return absl::DeadlineExceededError(absl::StrCat("not finished within ", absl::FormatDuration(limit)));
}

}  // namespace weir::internal
