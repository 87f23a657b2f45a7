// Whether this machine lets weir work, in words.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace weir {

// OK, or what is missing (io_uring switched off by sysctl or seccomp, an old kernel, the memlock limit) and what to do
// about it. Any thread; opens a ring and closes it again.
absl::Status kernel_support();

namespace internal {

// What io_uring_setup(2)'s errno means on this machine, and the cure.
absl::Status explain_setup_failure(int error);
absl::Status explain_old_kernel();

// "6.1.0-18-amd64".
std::string kernel_release();

}  // namespace internal
}  // namespace weir
