#include "weir/runtime/operation.h"

#include <stdexcept>
#include <string>

#include "weir/runtime/engine.h"

namespace weir::internal {

void Operation::start(Engine& engine) noexcept {
  engine_ = &engine;
  engine.submissions().start(*this);
}

void Operation::cancel() noexcept {
  if (engine_ != nullptr) engine_->submissions().cancel(*this);
}

void Operation::more(int, unsigned) noexcept {}

const char* refused_entry(const io_uring_sqe& entry) noexcept {
  if (entry.flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)) return "linked requests";
  if (entry.flags & IOSQE_CQE_SKIP_SUCCESS) return "IOSQE_CQE_SKIP_SUCCESS, as its completion would never come";
  switch (entry.opcode) {
    case IORING_OP_POLL_ADD:
      return entry.len & IORING_POLL_ADD_MULTI ? "multishot polls" : nullptr;
    case IORING_OP_ACCEPT:
      return entry.ioprio & IORING_ACCEPT_MULTISHOT ? "multishot accepts" : nullptr;
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
      return entry.ioprio & IORING_RECV_MULTISHOT ? "multishot receives" : nullptr;
    case 49:  // IORING_OP_READ_MULTISHOT, unknown to older headers
      return "multishot reads";
    default:
      return nullptr;
  }
}

void throw_refused_entry(const char* reason) {
  throw std::invalid_argument(std::string("weir::submit takes single requests with a completion each, not ") + reason);
}

}  // namespace weir::internal
