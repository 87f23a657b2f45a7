#include "weir/runtime/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace weir {
namespace {

TEST(StatusTest, SaysOperationObjectAndReason) {
  const absl::Status status = internal::errno_status(ENOENT, "openat /x");
  EXPECT_EQ(std::string(status.message()), "openat /x: No such file or directory");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
}

TEST(StatusTest, KeepsEveryErrno) {
  for (int error = 1; error < 134; ++error) {
    const absl::Status status = internal::errno_status(error, "read");
    EXPECT_FALSE(status.ok()) << error;
    EXPECT_EQ(status_errno(status), error);
  }
}

TEST(StatusTest, KeepsTheErrnoThroughCopies) {
  absl::Status copy;
  {
    const absl::Status status = internal::errno_status(ECONNREFUSED, "connect 127.0.0.1:1");
    copy = status;
  }
  EXPECT_EQ(status_errno(copy), ECONNREFUSED);
}

TEST(StatusTest, ACancelledOperationIsCancelled) {
  const absl::Status status = internal::errno_status(ECANCELED, "read");
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(status_errno(status), ECANCELED);
}

TEST(StatusTest, WhatWasMadeOfNoErrnoHasNone) {
  EXPECT_EQ(status_errno(absl::OkStatus()), 0);
  EXPECT_EQ(status_errno(absl::DeadlineExceededError("late")), 0);
  EXPECT_EQ(status_errno(absl::InvalidArgumentError("not an address")), 0);
}

}  // namespace
}  // namespace weir
