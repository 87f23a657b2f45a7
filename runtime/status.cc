#include "weir/runtime/status.h"

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace weir {
namespace {

constexpr char kErrnoUrl[] = "weir/errno";

absl::string_view as_absl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

int status_errno(const absl::Status& status) {
  if (status.ok()) return 0;
  const auto payload = status.GetPayload(kErrnoUrl);
  int error = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &error)) return 0;
  return error;
}

namespace internal {

absl::Status errno_status(int error, std::string_view what) {
  const absl::StatusCode code = error == ECANCELED ? absl::StatusCode::kCancelled : absl::ErrnoToStatusCode(error);
  absl::Status status(code, absl::StrCat(as_absl(what), ": ", std::generic_category().message(error)));
  status.SetPayload(kErrnoUrl, absl::Cord(absl::string_view(absl::AlphaNum(error).Piece())));
  return status;
}

}  // namespace internal
}  // namespace weir
