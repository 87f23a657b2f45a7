// The result of an operation whose request (IORING_OP_) the kernel lacks: a number below all errnos that names the request,
// so that the Status made of it can say which. Any thread.
#pragma once

namespace weir::internal {

inline constexpr int kErrnoMax = 4095;

constexpr int missing_result(int opcode) noexcept { return -(kErrnoMax + 1 + opcode); }
constexpr bool is_missing(int result) noexcept { return result < -kErrnoMax; }
constexpr int missing_opcode(int result) noexcept { return -result - kErrnoMax - 1; }

}  // namespace weir::internal
