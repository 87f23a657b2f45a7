// Text as bytes, and back: what the I/O functions take.
//
//   co_await stream.write_all(weir::as_bytes("hello\n"));
//   std::string text(4096, '\0');
//   auto count = co_await file.read_at(weir::writable_bytes(text), 0);
//
// Views: nothing is copied, what they refer to must live as long as they are used. Any thread.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace weir {

inline absl::Span<const std::byte> as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline absl::Span<std::byte> writable_bytes(std::string& text) noexcept {
  return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

inline std::string_view as_text(absl::Span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

namespace internal {

// The most that one request of the kernel moves (MAX_RW_COUNT): longer ones are short.
inline constexpr std::size_t kTransferMax = 0x7ffff000;

inline unsigned transfer_size(std::size_t size) noexcept { return static_cast<unsigned>(std::min(size, kTransferMax)); }

// Spans as the kernel wants them, and what is left of them after a short transfer. Stays where it was made: the kernel
// reads it until the request has ended. Allocates for more than 8 spans.
class IoVectors {
 public:
  template <class Byte>
  explicit IoVectors(absl::Span<const absl::Span<Byte>> parts) {
    if (parts.size() > few_.size()) {
      many_.resize(parts.size());
      next_ = many_.data();
    }
    for (const absl::Span<Byte> part : parts) {
      if (part.empty()) continue;
      next_[left_++] = iovec{const_cast<std::byte*>(part.data()), part.size()};
    }
  }
  IoVectors(const IoVectors&) = delete;
  IoVectors& operator=(const IoVectors&) = delete;

  bool empty() const noexcept { return left_ == 0; }
  iovec* data() noexcept { return next_; }
  unsigned count() const noexcept { return static_cast<unsigned>(std::min<std::size_t>(left_, kCountMax)); }
  std::size_t size() const noexcept {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < left_; ++i) bytes += next_[i].iov_len;
    return bytes;
  }

  // `bytes` of them are done; no more than size().
  void consume(std::size_t bytes) noexcept {
    while (bytes != 0) {
      const std::size_t here = std::min(bytes, next_->iov_len);
      next_->iov_base = static_cast<std::byte*>(next_->iov_base) + here;
      next_->iov_len -= here;
      bytes -= here;
      if (next_->iov_len == 0) {
        ++next_;
        --left_;
      }
    }
  }

 private:
  static constexpr std::size_t kCountMax = 1024;  // UIO_MAXIOV

  std::array<iovec, 8> few_;
  std::vector<iovec> many_;
  iovec* next_ = few_.data();
  std::size_t left_ = 0;
};

}  // namespace internal
}  // namespace weir
