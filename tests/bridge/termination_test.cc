#include "weir/bridge/termination.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <thread>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/own_threads.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

void before(int) {}

using Handler = void (*)(int);
Handler handler_of(int signal) {
  struct sigaction action = {};
  ::sigaction(signal, nullptr, &action);
  return action.sa_handler;
}

Task<int> first_signal(int signal) {
  int seen = 0;
  Event there;
  struct Seen {
    int& number;
    Event& event;
  } place{seen, there};
  const auto on_signal = [](int number, void* user) {
    static_cast<Seen*>(user)->number = number;
    static_cast<Seen*>(user)->event.set();
  };
  const internal::TerminationSignals signals(LoopHandle::current(), on_signal, &place);
  ::raise(signal);
  EXPECT_EQ(seen, 0);  // not in the handler
  co_await there.wait();
  co_return seen;
}

TEST(Termination, TheFirstSignalRunsTheCallbackOnTheLoop) {
  for (const int signal : {SIGINT, SIGTERM, SIGINT}) EXPECT_EQ(run(first_signal(signal)), signal);
}

TEST(Termination, TheHandlersBeforeItArePutBack) {
  const Handler old = ::signal(SIGTERM, &before);
  EXPECT_EQ(run(first_signal(SIGTERM)), SIGTERM);
  EXPECT_EQ(handler_of(SIGTERM), &before);
  ::signal(SIGTERM, old);
}

TEST(Termination, ASecondInstanceCatchesNothing) {
  run([]() -> Task<> {
    const Handler old = handler_of(SIGINT);
    const auto nothing = [](int, void*) {};
    {
      const internal::TerminationSignals first(LoopHandle::current(), nothing, nullptr);
      const Handler ours = handler_of(SIGINT);
      EXPECT_NE(ours, old);
      { const internal::TerminationSignals second(LoopHandle::current(), nothing, nullptr); }
      EXPECT_EQ(handler_of(SIGINT), ours);
    }
    EXPECT_EQ(handler_of(SIGINT), old);
    co_return;
  }());
}

TEST(Termination, ASecondInstanceLeavesTheSignalsToTheFirst) {
  run([]() -> Task<> {
    Event first_told, second_told;
    const auto tell = [](int, void* event) { static_cast<Event*>(event)->set(); };
    const internal::TerminationSignals first(LoopHandle::current(), tell, &first_told);
    const internal::TerminationSignals second(LoopHandle::current(), tell, &second_told);
    ::raise(SIGTERM);
    co_await first_told.wait();
    EXPECT_FALSE(second_told.is_set());
  }());
}

TEST(Termination, SystemCallsThatASignalInterruptsGoOn) {
  run([]() -> Task<> {
    const internal::TerminationSignals signals(LoopHandle::current(), [](int, void*) {}, nullptr);
    for (const int signal : {SIGINT, SIGTERM}) {
      struct sigaction action = {};
      ::sigaction(signal, nullptr, &action);
      EXPECT_NE(action.sa_flags & SA_RESTART, 0);
    }
    co_return;
  }());
}

TEST(Watchdog, WaitsForCenturies) {
  auto loop = tests::make_loop();
  const LoopHandle handle = loop->handle();
  loop.reset();  // nobody is asked what runs
  internal::Watchdog watchdog(absl::Nanoseconds(INT64_MAX));
  watchdog.start(handle);
  const auto others_sleep = [] {
    for (const pid_t thread : testing::list_threads("")) {
      if (thread != ::getpid() && !testing::is_asleep(thread)) return false;
    }
    return true;
  };
  while (!others_sleep()) std::this_thread::yield();
}

TEST(Watchdog, LetsGoOfWhatEndsInTime) {
  auto loop = tests::make_loop();
  internal::Watchdog never_started(absl::Milliseconds(1));
  internal::Watchdog started(absl::Hours(1));
  started.start(*loop);
  started.start(*loop);
  internal::Watchdog unlimited(absl::InfiniteDuration());
  unlimited.start(*loop);
}

TEST(WatchdogDeathTest, EndsTheProcessWith70) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        auto loop = tests::make_loop();
        const LoopHandle handle = loop->handle();
        loop.reset();  // nobody is asked what runs
        internal::Watchdog watchdog(absl::Milliseconds(1));
        watchdog.start(handle);
        testing::Gate never;
        never.wait();
      },
      ::testing::ExitedWithCode(70), "not finished within 1ms");
}

}  // namespace
}  // namespace weir
