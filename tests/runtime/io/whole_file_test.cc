#include "weir/runtime/io/whole_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>

#include "weir/runtime.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

TEST(WholeFile, WritesAndReads) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{3} << 20}) {
      const std::string text(size, 'x');
      const absl::Status status = co_await write_file(folder.file("f"), text);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_TRUE((co_await read_file(folder.file("f"))).value() == text);
    }
  });
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(WholeFile, ReadsFilesWithoutASize) {
  on_loop([]() -> Task<> {
    const std::string text = (co_await read_file("/proc/self/status")).value();
    EXPECT_NE(text.find("VmRSS"), text.npos);
    EXPECT_EQ((co_await read_file("/dev/null")).value(), "");
  });
}

TEST(WholeFile, SaysWhatIsWrongAndLeavesNothing) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    EXPECT_EQ((co_await read_file("/nowhere")).status().message(), "openat /nowhere: No such file or directory");
    EXPECT_EQ(status_errno((co_await read_file(folder.path())).status()), EISDIR);
    EXPECT_EQ(status_errno(co_await write_file("/nowhere/x", "text")), ENOENT);
    std::filesystem::create_directory(folder.file("d"));
    EXPECT_EQ(status_errno(co_await write_file(folder.file("d"), "text")), EISDIR);
  });
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

// Whenever the writer is cancelled, the file is the old or the new one, and nothing else is left.
TEST(WholeFile, CancelledAnywhereItIsWhole) {
  const TemporaryFolder folder;
  const int before = open_descriptors();
  on_loop([&]() -> Task<> {
    const std::string path = folder.file("f");
    EXPECT_TRUE((co_await write_file(path, std::string(9000, 'a'))).ok());
    for (int seed = 0; seed < storm(100); ++seed) {
      std::mt19937 random(static_cast<unsigned>(seed));
      const std::string next(9000, static_cast<char>('a' + seed % 26));
      auto writing = spawn(write_file(path, next));
      co_await random_pause(random);
      if (random() % 2 == 0) co_await sleep_for(absl::Microseconds(random() % 2000));
      writing.cancel();
      try {
        EXPECT_TRUE((co_await writing).ok());
      } catch (const Cancelled&) {
      }
      const std::string text = (co_await read_file(path)).value();
      EXPECT_EQ(text.size(), 9000u);
      EXPECT_EQ(text, std::string(9000, text[0]));
    }
  });
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace weir
