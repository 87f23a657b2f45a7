#include "weir/bridge/channel.h"

#include <stdexcept>

#include "absl/strings/str_cat.h"

namespace weir::internal {

void throw_channel_closed(const char* side) { throw ChannelClosed(absl::StrCat(side, ": the channel is closed")); }

void throw_channel_timeout(absl::Duration limit) {
  throw ChannelTimeout(absl::StrCat("Channel get timed out after ", absl::FormatDuration(limit)));
}

void throw_channel_full_on_loop() {
  throw DeadlockError("put: the channel is full, and this is a loop's thread, which must not sleep; co_await put_async()");
}

void throw_other_loop() {
  throw std::logic_error("weir: this channel belongs to another loop, the one of its first get; use on() to get there");
}

}  // namespace weir::internal
