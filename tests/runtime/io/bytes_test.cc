#include "weir/runtime/io/bytes.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Bytes, ViewsText) {
  std::string text = "abc";
  EXPECT_EQ(as_text(as_bytes("abc")), "abc");
  EXPECT_EQ(as_bytes(text).data(), reinterpret_cast<const std::byte*>(text.data()));
  writable_bytes(text)[1] = std::byte{'X'};
  EXPECT_EQ(text, "aXc");
  EXPECT_TRUE(as_bytes("").empty());
  std::string none;
  EXPECT_TRUE(writable_bytes(none).empty());
}

TEST(Bytes, LimitsATransfer) {
  EXPECT_EQ(internal::transfer_size(5), 5u);
  EXPECT_EQ(internal::transfer_size(size_t{1} << 40), 0x7ffff000u);
}

std::string text_of(internal::IoVectors& vectors) {
  std::string text;
  for (unsigned i = 0; i < vectors.count(); ++i) {
    text.append(static_cast<const char*>(vectors.data()[i].iov_base), vectors.data()[i].iov_len);
    text += '|';
  }
  return text;
}

TEST(Bytes, ConsumesVectors) {
  const absl::Span<const std::byte> parts[] = {as_bytes("ab"), as_bytes(""), as_bytes("cde"), as_bytes("f")};
  internal::IoVectors vectors{absl::Span<const absl::Span<const std::byte>>(parts)};
  EXPECT_EQ(vectors.size(), 6u);
  EXPECT_EQ(text_of(vectors), "ab|cde|f|");
  vectors.consume(1);
  EXPECT_EQ(text_of(vectors), "b|cde|f|");
  vectors.consume(2);
  EXPECT_EQ(text_of(vectors), "de|f|");
  vectors.consume(3);
  EXPECT_TRUE(vectors.empty());
  vectors.consume(0);
  EXPECT_EQ(vectors.size(), 0u);
}

TEST(Bytes, TakesManyVectors) {
  const std::vector<absl::Span<const std::byte>> parts(3000, as_bytes("xy"));
  internal::IoVectors vectors{absl::Span<const absl::Span<const std::byte>>(parts)};
  EXPECT_EQ(vectors.count(), 1024u);  // the kernel takes no more at once
  EXPECT_EQ(vectors.size(), 6000u);
  vectors.consume(5999);
  EXPECT_EQ(vectors.count(), 1u);
  EXPECT_EQ(text_of(vectors), "y|");
}

}  // namespace
}  // namespace weir
