// What still runs on a loop, by name: for the line on stderr of a program that does not end.
//
//   std::string names = roll_call(loop, absl::Seconds(1));   // "main, upload (x3); on threads: pool-0"
//
// The loop itself answers, at its next turn, as only it may look at its tasks. A loop that is stuck in one of its tasks
// does not; one that is gone has none. Any thread but the loop's own; it sleeps on a futex meanwhile. Cost: an allocation
// and a post.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "weir/runtime/loop_handle.h"

namespace weir::internal {

// The names of its tasks and of the busy threads of its own pool, "nothing" when there are none; empty when the loop did
// not answer within `at_most`.
std::string roll_call(const LoopHandle& loop, absl::Duration at_most);

}  // namespace weir::internal
