#include "weir/tools/tour/output.h"

#include <fcntl.h>

#include <stdexcept>

namespace tour {
namespace {

void check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error("tour: " + std::string(status.message()));
}

}  // namespace

weir::Task<Output> Output::open(std::string path) {
  absl::StatusOr<weir::File> file = co_await weir::File::open(std::move(path), O_WRONLY | O_CREAT | O_TRUNC);
  check(file.status());
  co_return Output(*std::move(file));
}

weir::Task<void> Output::write(std::string_view bytes) {
  check(co_await file_.write_all_at(weir::as_bytes(bytes), size_));
  size_ += bytes.size();
}

weir::Task<void> Output::close() { check(co_await file_.close()); }

}  // namespace tour
