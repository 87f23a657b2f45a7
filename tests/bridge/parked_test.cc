#include "weir/bridge/parked.h"

#include <gtest/gtest.h>

namespace weir::internal {
namespace {

class CountingWorker final : public ParkingWorker {
 public:
  int parked = 0;
  int unparked = 0;

 private:
  void park() noexcept override { ++parked; }
  void unpark() noexcept override { ++unparked; }
};

TEST(Parked, DoesNothingOnAForeignThread) {
  EXPECT_EQ(ParkingWorker::current(), nullptr);
  Parked parked;
}

TEST(Parked, TheOutermostScopeCounts) {
  CountingWorker worker;
  ParkingWorker::set_current(&worker);
  {
    Parked outer;
    EXPECT_EQ(worker.parked, 1);
    {
      Parked inner;
      EXPECT_EQ(worker.parked, 1);
    }
    EXPECT_EQ(worker.unparked, 0);
  }
  EXPECT_EQ(worker.unparked, 1);
  {
    Parked again;
  }
  EXPECT_EQ(worker.parked, 2);
  EXPECT_EQ(worker.unparked, 2);
  ParkingWorker::set_current(nullptr);
}

}  // namespace
}  // namespace weir::internal
