#include "weir/runtime/io/file.h"

#include <gtest/gtest.h>

#include <string>

#include "weir/runtime.h"
#include "weir/tests/testing/io.h"

namespace weir {
namespace {

using testing::on_loop;
using testing::open_descriptors;
using testing::TemporaryFolder;

TEST(File, WritesAndReads) {
  const TemporaryFolder folder;
  const int before = open_descriptors();
  on_loop([&]() -> Task<> {
    auto file = co_await File::open(folder.file("x"), O_RDWR | O_CREAT | O_EXCL);
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(fcntl(file->fd(), F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE((co_await file->write_all_at(as_bytes("hello world"), 0)).ok());
    std::string text(5, '\0');
    EXPECT_EQ((co_await file->read_at(writable_bytes(text), 6)).value(), 5u);
    EXPECT_EQ(text, "world");
    EXPECT_EQ((co_await file->read_at(writable_bytes(text), 11)).value(), 0u);
    const absl::Status end = co_await file->read_exact_at(writable_bytes(text), 8);
    EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(end.message(), "read " + folder.file("x") + ": end of file after 3 of 5 bytes at offset 8");
    EXPECT_TRUE((co_await file->fsync()).ok());
    EXPECT_TRUE((co_await file->fdatasync()).ok());
    EXPECT_EQ((co_await file->size()).value(), 11u);
    EXPECT_TRUE((co_await file->truncate(4)).ok());
    EXPECT_EQ((co_await file->size()).value(), 4u);
    EXPECT_TRUE((co_await file->close()).ok());
    EXPECT_TRUE((co_await file->close()).ok());
    EXPECT_THROW((void)co_await file->size(), std::logic_error);
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(File, SaysWhatIsWrong) {
  on_loop([]() -> Task<> {
    auto file = co_await File::open("/nowhere/x", O_RDONLY);
    EXPECT_EQ(file.status().message(), "openat /nowhere/x: No such file or directory");
    EXPECT_EQ(status_errno(file.status()), ENOENT);
  });
}

}  // namespace
}  // namespace weir
