#include "weir/runtime/status.h"

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "weir/runtime/fallback.h"
#include "weir/runtime/kernel_support.h"

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
namespace {

// The result of an operation that ended with missing_result().
absl::Status explain_missing_request(int result, std::string_view what) {
  const int opcode = missing_opcode(result);
  const UsedOpcode* const used = used_opcode(opcode);
  absl::Status status = absl::UnimplementedError(absl::StrCat(
      as_absl(what), ": this kernel (", kernel_release(), ") lacks ", used != nullptr ? used->name : "a request of io_uring",
      ", which came with Linux ", used != nullptr ? used->since : "a later version",
      used != nullptr && used->blocking != nullptr
          ? "; the loop does without if it has threads for it: Loop::set_default_executor(), or link the bridge"
          : "; use a newer kernel"));
  status.SetPayload(kErrnoUrl, absl::Cord(absl::string_view(absl::AlphaNum(ENOSYS).Piece())));
  return status;
}

}  // namespace

absl::Status errno_status(int error, std::string_view what) {
  if (is_missing(-error)) return explain_missing_request(-error, what);
  const absl::StatusCode code = error == ECANCELED ? absl::StatusCode::kCancelled : absl::ErrnoToStatusCode(error);
  absl::Status status(code, absl::StrCat(as_absl(what), ": ", std::generic_category().message(error)));
  status.SetPayload(kErrnoUrl, absl::Cord(absl::string_view(absl::AlphaNum(error).Piece())));
  return status;
}

}  // namespace internal
}  // namespace weir
