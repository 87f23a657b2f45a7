#include "weir/runtime/timeout.h"

#include "absl/strings/str_cat.h"
#include "weir/runtime/engine.h"

namespace weir::internal {

DeadlineScope::DeadlineScope(absl::Duration limit)
    : root_(Root::current()), scope_(root_, CancelScope::Kind::kOpen) {
  Engine& engine = root_.engine();
  const int64_t deadline = limit == absl::InfiniteDuration() ? kNoDeadline : deadline_after(engine, limit);
  if (deadline != kNoDeadline) engine.timers().arm(*this, deadline);
}

DeadlineScope::~DeadlineScope() { root_.engine().timers().cancel(*this); }

absl::Status deadline_exceeded(absl::Duration limit) {
  return absl::DeadlineExceededError(absl::StrCat("not finished within ", absl::FormatDuration(limit)));
}

}  // namespace weir::internal
