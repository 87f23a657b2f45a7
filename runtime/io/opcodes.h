// Operations of newer kernels that an older <liburing.h> has no name for. Ask Ring::supports() before using one.
#pragma once

namespace weir::internal {

inline constexpr int kOpFtruncate = 55;  // IORING_OP_FTRUNCATE, Linux 6.9

}  // namespace weir::internal
