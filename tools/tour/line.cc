#include "weir/tools/tour/line.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace tour {

void Line::append(std::string_view part, uint64_t offset) {
  if (size_ == 0) offset_ = offset;
  size_ += part.size();
  if (!kept_whole_) return;
  if (size_ > kKeptMax && input_.rereadable()) {
    kept_whole_ = false;
    std::string().swap(kept_);
    return;
  }
  if (size_ > kUnreadableMax) {
    throw std::runtime_error("tour: a line is longer than 256 MiB, and what it comes from cannot be read twice");
  }
  kept_ += part;
}

void Line::begin_pieces(const Digest& digest) {
  digest_ = digest;
  handed_out_ = 0;
}

std::optional<Piece> Line::next_piece() {
  if (handed_out_ == size_) {
    kept_.clear();
    if (kept_.capacity() > kPieceMax) std::string().swap(kept_);
    size_ = 0;
    kept_whole_ = true;
    return std::nullopt;
  }
  const bool first = handed_out_ == 0;
  const std::size_t count = static_cast<std::size_t>(std::min<uint64_t>(size_ - handed_out_, kPieceMax));
  std::string bytes;
  if (first) {
    bytes.reserve(digest_.size() + 1 + count);
    bytes += as_text(digest_);
    bytes += '\t';
  }
  if (kept_whole_) {
    bytes += std::string_view(kept_).substr(static_cast<std::size_t>(handed_out_), count);
  } else {
    bytes += input_.reread(offset_ + handed_out_, count);
  }
  handed_out_ += count;
  return Piece(std::move(bytes), first);
}

}  // namespace tour
