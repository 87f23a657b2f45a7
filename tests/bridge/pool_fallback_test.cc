// Requests that the kernel lacks are made on the loop's own pool.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "weir/runtime/kernel.h"
#include "weir/tests/testing/io_tour.h"
#include "weir/tests/testing/old_ring.h"
#include "weir/weir.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

std::unique_ptr<Loop> loop_without(std::set<int> missing) {
  auto ring = OldRing::create(kOldKernels[0], std::move(missing));
  if (!ring.ok()) throw std::runtime_error(ring.status().ToString());
  return internal::LoopAccess::create(std::move(*ring), internal::Kernel::system(), {}).value();
}

TEST(PoolFallback, OldKernelsDoAllOfIo) {
  const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
  const auto all = [&]() -> Task<> {
    co_await tour_of_files(folder, IoTour::kAllWork);
    co_await tour_of_paths(folder, IoTour::kAllWork);
    co_await tour_of_streams(folder, IoTour::kAllWork);
  };
  loop_without({IORING_OP_OPENAT, IORING_OP_STATX, IORING_OP_RENAMEAT, IORING_OP_FSYNC})->run(all());
}

// The loop ends while jobs of its operations are queued and run.
TEST(PoolFallback, TheEndOfALoopLosesNone) {
  const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
  const int before = open_descriptors();
  for (int round = 0; round < storm(20); ++round) {
    const auto loop = loop_without({IORING_OP_OPENAT});
    const auto body = [&]() -> Task<> {
      for (int i = 0; i < 20; ++i) (void)spawn(File::open(folder.file("x"), O_RDWR | O_CREAT));
      for (int i = 0; i < round; ++i) co_await yield();
    };
    loop->run(body());
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace weir
