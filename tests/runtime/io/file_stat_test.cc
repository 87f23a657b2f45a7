#include "weir/runtime/io/file_stat.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(FileStat, ReadsWhatTheKernelFilledIn) {
  struct statx raw {};
  ASSERT_EQ(::statx(AT_FDCWD, "/proc/self/exe", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &raw), 0);
  EXPECT_TRUE(FileStat(raw).is_symlink());
  ASSERT_EQ(::statx(AT_FDCWD, "/proc/self/exe", 0, STATX_BASIC_STATS, &raw), 0);
  const FileStat stat(raw);
  EXPECT_TRUE(stat.is_file());
  EXPECT_FALSE(stat.is_directory() || stat.is_symlink() || stat.is_block_device());
  EXPECT_EQ(stat.size(), raw.stx_size);
  EXPECT_GT(stat.size(), 0u);
  EXPECT_GE(stat.links(), 1u);
  EXPECT_EQ(stat.inode(), raw.stx_ino);
  EXPECT_GT(stat.modified(), absl::UnixEpoch());
  ASSERT_EQ(::statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, &raw), 0);
  EXPECT_TRUE(FileStat(raw).is_directory());
}

TEST(FileStat, CountsNanoseconds) {
  struct statx raw {};
  raw.stx_mtime.tv_sec = 7;
  raw.stx_mtime.tv_nsec = 9;
  raw.stx_blocks = 3;
  EXPECT_EQ(FileStat(raw).modified(), absl::FromUnixNanos(7'000'000'009));
  EXPECT_EQ(FileStat(raw).allocated(), 1536u);
  EXPECT_EQ(FileStat().size(), 0u);
}

}  // namespace
}  // namespace weir
