// Line: one line of the input while it is read, however long, and then handed out in pieces, its digest before it.
//
//   line.append(part, offset);  …                          // until the newline, or the end of the input
//   line.begin_pieces(digest);
//   while (std::optional<Piece> piece = line.next_piece()) co_yield std::move(*piece);
//
// "digest TAB line" can be sent only when the whole line has been read. Up to kKeptMax bytes are kept in memory; of a
// longer line nothing is kept, it is read from the file a second time. Where that cannot be done (a pipe), all of it is
// kept, and a line longer than kUnreadableMax is an error: std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "weir/tools/tour/input.h"
#include "weir/tools/tour/md5_chain.h"

namespace tour {

// What travels through the stream: a short line, or a part of a long one.
class Piece {
 public:
  Piece(std::string text, bool first_of_line) : bytes(std::move(text)), first(first_of_line) {}
  std::string bytes;
  bool first;  // begins with the line's digest
};

class Line {
 public:
  static constexpr std::size_t kPieceMax = 32 * 1024;             // bytes of the line in one piece
  static constexpr std::size_t kKeptMax = 16 * 1024 * 1024;
  static constexpr std::size_t kUnreadableMax = 256 * 1024 * 1024;

  explicit Line(const Input& input) : input_(input) {}

  bool empty() const noexcept { return size_ == 0; }
  void append(std::string_view part, uint64_t offset);

  void begin_pieces(const Digest& digest);
  std::optional<Piece> next_piece();  // nullopt: all of it was handed out, and the next line may begin

 private:
  const Input& input_;
  std::string kept_;
  uint64_t offset_ = 0;    // of the line, in the input
  uint64_t size_ = 0;
  bool kept_whole_ = true;
  Digest digest_{};
  uint64_t handed_out_ = 0;
};

}  // namespace tour
