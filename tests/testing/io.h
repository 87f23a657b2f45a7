// What the tests of runtime/io share.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "weir/runtime/io/address.h"
#include "weir/runtime/loop.h"
#include "weir/tests/testing/storm.h"

namespace weir::testing {

// How many descriptors this process has open, but for the one that counts.
inline int open_descriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count - 1;
}

// A folder that is gone with its contents at the end of the scope; in $TEST_TMPDIR unless a test needs a shorter path.
class TemporaryFolder {
 public:
  TemporaryFolder() : TemporaryFolder(std::getenv("TEST_TMPDIR") == nullptr ? "/tmp" : std::getenv("TEST_TMPDIR")) {}
  explicit TemporaryFolder(std::string base) : path_(std::move(base) + "/weir-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Runs fn() on a loop of its own, to its end.
template <class Fn>
void on_loop(Fn fn, const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  ASSERT_TRUE(loop.ok()) << loop.status();
  (*loop)->run(fn());
}

inline SocketAddress loopback() { return *SocketAddress::parse("127.0.0.1:0"); }

}  // namespace weir::testing
