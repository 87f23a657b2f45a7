#include "weir/bridge/worker_gate.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "weir/bridge/futex.h"

namespace weir::internal {
namespace {

using Gate = WorkerGate<>;

TEST(WorkerGate, WakesOneAtATime) {
  Gate gate(2, 0);
  EXPECT_EQ(gate.sleeping(), 2u);
  EXPECT_EQ(gate.call(), Gate::Call::kWoken);
  EXPECT_EQ(gate.call(), Gate::Call::kNobody) << "one is on its way";
  EXPECT_EQ(gate.sleep(INT64_MAX), Gate::Sleep::kWoken);
  EXPECT_EQ(gate.call(), Gate::Call::kNobody) << "it has not looked at the queue yet";
  gate.arrived();
  EXPECT_EQ(gate.call(), Gate::Call::kWoken);
  EXPECT_EQ(gate.sleep(INT64_MAX), Gate::Sleep::kWoken);
  gate.arrived();
  EXPECT_EQ(gate.call(), Gate::Call::kNobody) << "as many run as should";
  EXPECT_EQ(gate.running(), 2u);
}

TEST(WorkerGate, AWorkerThatFoundNothingMayBeWokenAgain) {
  Gate gate(1, 0);
  EXPECT_EQ(gate.call(), Gate::Call::kWoken);
  EXPECT_EQ(gate.sleep(INT64_MAX), Gate::Sleep::kWoken);
  gate.to_sleep(true);
  EXPECT_EQ(gate.sleeping(), 1u);
  EXPECT_EQ(gate.call(), Gate::Call::kWoken);
}

TEST(WorkerGate, AParkedWorkerMakesRoomForASpareOne) {
  Gate gate(1, 1);
  gate.call();
  gate.sleep(INT64_MAX);
  gate.arrived();
  EXPECT_EQ(gate.call(), Gate::Call::kNobody);
  gate.park();
  EXPECT_EQ(gate.parked(), 1u);
  EXPECT_EQ(gate.call(false), Gate::Call::kNoMore);
  EXPECT_EQ(gate.call(), Gate::Call::kSpawn);
  EXPECT_EQ(gate.spare(), 1u);
  EXPECT_TRUE(gate.spares_needed());
  gate.arrived();
  gate.park();
  EXPECT_EQ(gate.call(), Gate::Call::kNoMore) << "one spare thread is the limit";
  gate.unpark();
  gate.unpark();
  EXPECT_FALSE(gate.spares_needed());
  EXPECT_TRUE(gate.to_sleep_if_surplus(false));
  EXPECT_FALSE(gate.to_sleep_if_surplus(false));
  EXPECT_EQ(gate.running(), 1u);
  EXPECT_EQ(gate.sleep(monotonic_now_ns()), Gate::Sleep::kLate);
  EXPECT_TRUE(gate.retire());
  EXPECT_EQ(gate.spare(), 0u);
  EXPECT_FALSE(gate.retire()) << "nobody sleeps";
}

TEST(WorkerGate, AThreadThatWasNotMadeIsNotCounted) {
  Gate gate(1, 4);
  gate.call();
  gate.sleep(INT64_MAX);
  gate.arrived();
  gate.park();
  EXPECT_EQ(gate.call(), Gate::Call::kSpawn);
  gate.not_made();
  EXPECT_EQ(gate.spare(), 0u);
  EXPECT_EQ(gate.parked(), 1u);
  EXPECT_EQ(gate.call(), Gate::Call::kSpawn) << "another may be tried";
}

TEST(WorkerGate, ALateThreadThatIsNeededForATicketStays) {
  Gate gate(1, 0);
  EXPECT_EQ(gate.call(), Gate::Call::kWoken);
  EXPECT_FALSE(gate.retire());
  EXPECT_EQ(gate.sleep(0), Gate::Sleep::kWoken);
}

TEST(WorkerGate, CloseWakesAllAndWaitsUntilTheyHaveLeft) {
  Gate gate(3, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&gate] {
      EXPECT_EQ(gate.sleep(INT64_MAX), Gate::Sleep::kClosed);
      gate.leave();
    });
  }
  EXPECT_FALSE(gate.wait_until_left(monotonic_now_ns()));
  gate.close();
  EXPECT_EQ(gate.call(), Gate::Call::kNobody);
  EXPECT_TRUE(gate.wait_until_left(INT64_MAX));
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace weir::internal
