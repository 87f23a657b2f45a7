#include "weir/runtime/io/path.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/io/whole_file.h"
#include "weir/tests/testing/io.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

TEST(Path, ChangesNames) {
  const TemporaryFolder folder;
  on_loop([&]() -> Task<> {
    EXPECT_TRUE((co_await write_file(folder.file("a"), "text")).ok());
    EXPECT_TRUE((co_await rename(folder.file("a"), folder.file("b"))).ok());
    EXPECT_TRUE((co_await weir::link(folder.file("b"), folder.file("c"))).ok());
    EXPECT_TRUE((co_await weir::symlink("c", folder.file("d"))).ok());
    EXPECT_EQ((co_await read_file(folder.file("d"))).value(), "text");
    EXPECT_EQ((co_await weir::stat(folder.file("b"))).value().links(), 2u);
    EXPECT_TRUE((co_await weir::stat(folder.file("d"))).value().is_file());
    EXPECT_TRUE((co_await weir::stat(folder.file("d"), Symlinks::kShow)).value().is_symlink());
    EXPECT_TRUE((co_await weir::unlink(folder.file("d"))).ok());
    EXPECT_EQ(status_errno((co_await weir::stat(folder.file("d"))).status()), ENOENT);
    EXPECT_TRUE((co_await weir::mkdir(folder.file("e"), 0700)).ok());
    const FileStat stat = (co_await weir::stat(folder.file("e"))).value();
    EXPECT_TRUE(stat.is_directory());
    EXPECT_EQ(stat.mode() & 0777, 0700u);
    EXPECT_TRUE((co_await weir::rmdir(folder.file("e"))).ok());
  });
}

TEST(Path, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string x = folder.file("x");
  on_loop([&]() -> Task<> {
    EXPECT_EQ((co_await weir::unlink(x)).message(), "unlinkat " + x + ": No such file or directory");
    EXPECT_EQ((co_await rename(x, x + "2")).message(), "renameat " + x + " to " + x + "2: No such file or directory");
    EXPECT_EQ((co_await weir::mkdir(folder.path())).message(), "mkdirat " + folder.path() + ": File exists");
    EXPECT_EQ((co_await weir::rmdir(x)).message(), "rmdir " + x + ": No such file or directory");
    EXPECT_EQ((co_await weir::stat(x)).status().message(), "statx " + x + ": No such file or directory");
    EXPECT_EQ((co_await read_dir(x)).status().message(), "openat " + x + ": No such file or directory");
  });
}

TEST(Path, ListsAFolder) {
  const TemporaryFolder folder;
  constexpr int kFiles = 2000;  // more names than one step takes
  const int before = open_descriptors();
  for (int i = 0; i < kFiles; ++i) {
    const std::string path = folder.file("a-file-with-a-long-name-" + std::to_string(i));
    FILE* const file = fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    fclose(file);
  }
  on_loop([&]() -> Task<> {
    EXPECT_TRUE((co_await weir::mkdir(folder.file("sub"))).ok());
    const std::vector<DirectoryEntry> entries = (co_await read_dir(folder.path())).value();
    std::vector<std::string> names;
    for (const DirectoryEntry& entry : entries) {
      names.push_back(entry.name);
      if (entry.type == DirectoryEntry::Type::kUnknown) continue;
      EXPECT_EQ(entry.type, entry.name == "sub" ? DirectoryEntry::Type::kDirectory : DirectoryEntry::Type::kFile);
    }
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names.size(), kFiles + 1u);
    EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
    EXPECT_EQ(names.back(), "sub");
  });
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace weir
