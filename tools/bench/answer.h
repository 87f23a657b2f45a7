// What every echo server of weir's does with a connection.
#pragma once

#include <utility>

#include "weir/runtime/io/buffer.h"
#include "weir/runtime/task.h"

namespace weir::bench {

template <class Stream>
Task<> answer(Stream stream) {
  for (;;) {
    const absl::StatusOr<Buffer> piece = co_await stream.receive();
    if (!piece.ok() || piece->empty()) co_return;
    const absl::Status written = co_await stream.write_all(*piece);
    if (!written.ok()) co_return;
  }
}

}  // namespace weir::bench
