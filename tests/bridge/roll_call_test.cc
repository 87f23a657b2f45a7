#include "weir/bridge/roll_call.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/own_threads.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using internal::roll_call;

Task<> forever() {
  Event never;
  co_await never.wait();
}

// Asks on a thread while the loop turns.
Task<std::string> names_meanwhile() {
  std::string names;
  Event answered;
  std::thread thread([&, loop = LoopHandle::current()] {
    names = roll_call(loop, absl::InfiniteDuration());
    loop.post([&] { answered.set(); });
  });
  co_await answered.wait();
  thread.join();
  co_return names;
}

TEST(RollCall, NamesTheTasksAndTheThreadsOfTheLoopsPool) {
  testing::Gate go;
  std::string names;
  const auto test = [&]() -> Task<> {
    std::vector<JoinHandle<void>> handles;
    for (int i = 0; i < 3; ++i) handles.push_back(spawn(forever(), "upload"));
    handles.push_back(spawn(forever()));
    testing::Gate began;
    const auto blocks = threaded([&] {
      began.open();
      go.wait();
    });
    auto call = blocks();
    began.wait();
    names = co_await names_meanwhile();
    go.open();
    co_await std::move(call);
    for (auto& handle : handles) handle.cancel();
  };
  weir::run(test());
  EXPECT_EQ(names.find("run, upload (x3), a task without a name; on threads: pool-"), 0u) << names;
}

// Asked before its end, which answers when no task is left.
TEST(RollCall, ALoopWithoutTasksRunsNothing) {
  auto loop = tests::make_loop();
  std::atomic<pid_t> asking = 0;
  std::string names;
  std::thread thread([&, handle = loop->handle()] {
    asking = ::gettid();
    names = roll_call(handle, absl::InfiniteDuration());
  });
  while (asking == 0 || !testing::is_asleep(asking)) std::this_thread::yield();
  loop.reset();
  thread.join();
  EXPECT_EQ(names, "nothing");
}

TEST(RollCall, NamesNoMoreThanTwenty) {
  std::string names;
  const auto test = [&]() -> Task<> {
    std::vector<JoinHandle<void>> handles;
    for (int i = 0; i < 30; ++i) handles.push_back(spawn(forever(), "task" + std::to_string(i)));
    names = co_await names_meanwhile();
    for (auto& handle : handles) handle.cancel();
  };
  weir::run(test());
  EXPECT_NE(names.find("task18, 11 other names"), std::string::npos) << names;
  EXPECT_EQ(names.find("task19"), std::string::npos) << names;
}

TEST(RollCall, ALoopThatIsGoneHasNothing) {
  auto loop = tests::make_loop();
  const LoopHandle handle = loop->handle();
  loop.reset();
  EXPECT_EQ(roll_call(handle, absl::InfiniteDuration()), "nothing");
}

TEST(RollCall, ALoopThatDoesNotTurnDoesNotAnswer) {
  auto loop = tests::make_loop();
  EXPECT_EQ(roll_call(*loop, absl::Milliseconds(1)), "");
}

}  // namespace
}  // namespace weir
