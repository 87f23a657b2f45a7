#include "weir/runtime/io/signal.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/io.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

bool blocked_here(int signal) {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, signal) == 1;
}

// Counts what is delivered to a handler, and puts the handler back.
class Handler {
 public:
  explicit Handler(int signal) : signal_(signal) {
    seen = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { seen = seen + 1; };
    sigaction(signal, &action, &before_);
  }
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;
  ~Handler() { sigaction(signal_, &before_, nullptr); }

  static volatile sig_atomic_t seen;

 private:
  const int signal_;
  struct sigaction before_ = {};
};
volatile sig_atomic_t Handler::seen = 0;

TEST(SignalSet, GivesSignalsOfTheProcessAndOfTheThread) {
  on_loop([]() -> Task<> {
    SignalSet signals = SignalSet::create({SIGUSR1, SIGUSR2}).value();
    auto waiting = spawn(signals.next());
    co_await yield();
    pthread_kill(pthread_self(), SIGUSR1);
    Signal first = (co_await waiting).value();
    EXPECT_EQ(first.number(), SIGUSR1);
    EXPECT_EQ(first.sender(), getpid());
    EXPECT_EQ(first.user(), getuid());
    sigval value{};
    value.sival_int = 42;
    EXPECT_EQ(sigqueue(getpid(), SIGUSR2, value), 0);  // no other thread is there to take it
    Signal second = (co_await signals.next()).value();
    EXPECT_EQ(second.number(), SIGUSR2);
    EXPECT_EQ(second.value(), 42);
  });
}

TEST(SignalSet, RealTimeSignalsQueueAndAreSharedOut) {
  on_loop([]() -> Task<> {
    SignalSet signals = SignalSet::create({SIGRTMIN}).value();
    std::vector<JoinHandle<absl::StatusOr<Signal>>> takers;
    for (int i = 0; i < 3; ++i) takers.push_back(spawn(signals.next()));
    co_await yield();
    for (int i = 1; i <= 3; ++i) {
      sigval value{};
      value.sival_int = i;
      EXPECT_EQ(sigqueue(getpid(), SIGRTMIN, value), 0);
    }
    int sum = 0;
    for (auto& taker : takers) {
      absl::StatusOr<Signal> taken = co_await taker;
      sum += taken.value().value();
    }
    EXPECT_EQ(sum, 6);  // each went to one
  });
}

TEST(SignalSet, PutsTheMaskBack) {
  on_loop([]() -> Task<> {
    const int before = open_descriptors();
    EXPECT_FALSE(blocked_here(SIGUSR1));
    SignalSet first = SignalSet::create({SIGUSR1, SIGUSR2}).value();
    {
      SignalSet second = SignalSet::create({SIGUSR1}).value();
      EXPECT_TRUE(blocked_here(SIGUSR1));
      EXPECT_TRUE((co_await first.close()).ok());
      EXPECT_TRUE((co_await first.close()).ok());
      EXPECT_TRUE(blocked_here(SIGUSR1));  // the second set wants it
      EXPECT_FALSE(blocked_here(SIGUSR2));
    }
    EXPECT_FALSE(blocked_here(SIGUSR1));
    EXPECT_EQ(open_descriptors(), before);
  });
}

TEST(SignalSet, LeavesWhatWasBlockedBefore) {
  sigset_t usr2, old;
  sigemptyset(&usr2);
  sigaddset(&usr2, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &usr2, &old);
  on_loop([]() -> Task<> {
    SignalSet signals = SignalSet::create({SIGUSR2}).value();
    EXPECT_TRUE((co_await signals.close()).ok());
    EXPECT_TRUE(blocked_here(SIGUSR2));
  });
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

TEST(SignalSet, WhatWasNotTakenIsDeliveredInTheEnd) {
  const Handler handler(SIGUSR1);
  on_loop([]() -> Task<> {
    SignalSet signals = SignalSet::create({SIGUSR1}).value();
    pthread_kill(pthread_self(), SIGUSR1);
    EXPECT_EQ(Handler::seen, 0);
    EXPECT_TRUE((co_await signals.close()).ok());
    EXPECT_EQ(Handler::seen, 1);
  });
}

TEST(SignalSet, ACancelTakesNoSignal) {
  on_loop([]() -> Task<> {
    SignalSet signals = SignalSet::create({SIGUSR1}).value();
    auto waiting = spawn(signals.next());
    co_await yield();
    waiting.cancel();
    EXPECT_EQ((co_await timeout(absl::Milliseconds(1), signals.next())).status().code(), absl::StatusCode::kDeadlineExceeded);
    pthread_kill(pthread_self(), SIGUSR1);
    EXPECT_EQ((co_await signals.next()).value().number(), SIGUSR1);
  });
}

TEST(SignalSet, ClosingEndsWhoWaits) {
  on_loop([]() -> Task<> {
    std::optional<SignalSet> signals(SignalSet::create({SIGUSR1}).value());
    auto first = spawn(signals->next());
    co_await yield();
    EXPECT_TRUE((co_await signals->close()).ok());
    EXPECT_EQ((co_await first).status().code(), absl::StatusCode::kCancelled);
    EXPECT_THROW((void)signals->next(), std::logic_error);
    signals.emplace(SignalSet::create({SIGUSR1}).value());
    auto second = spawn(signals->next());
    co_await yield();
    signals.reset();
    EXPECT_EQ((co_await second).status().code(), absl::StatusCode::kCancelled);
    EXPECT_FALSE(blocked_here(SIGUSR1));
  });
}

// Both polls end at once; the first to run takes the signal and closes.
TEST(SignalSet, ClosedByTheReaderThatGotTheSignal) {
  on_loop([]() -> Task<> {
    SignalSet signals = SignalSet::create({SIGUSR1}).value();
    const auto read = [](SignalSet& from) -> Task<absl::Status> {
      const absl::StatusOr<Signal> got = co_await from.next();
      if (got.ok()) {
        EXPECT_TRUE((co_await from.close()).ok());
      }
      co_return got.status();
    };
    auto first = spawn(read(signals));
    auto second = spawn(read(signals));
    co_await yield();
    EXPECT_EQ(::kill(::getpid(), SIGUSR1), 0);
    const absl::StatusCode codes[] = {(co_await first).code(), (co_await second).code()};
    EXPECT_EQ(std::min(codes[0], codes[1]), absl::StatusCode::kOk);
    EXPECT_EQ(std::max(codes[0], codes[1]), absl::StatusCode::kCancelled);
  });
}

TEST(SignalSet, DroppedOnAnotherThreadPutsThisOnesMaskBack) {
  on_loop([]() -> Task<> {
    auto signals = std::make_unique<SignalSet>(SignalSet::create({SIGUSR1}).value());
    std::thread([moved = std::move(signals)]() mutable { moved.reset(); }).join();
    while (blocked_here(SIGUSR1)) co_await yield();
  });
}

TEST(SignalSet, RefusesWhatNobodyCanTake) {
  on_loop([]() -> Task<> {
    for (const int signal : {SIGKILL, SIGSTOP, SIGSEGV, SIGPIPE, 0, -1, 1000}) {
      EXPECT_EQ(SignalSet::create({signal}).status().code(), absl::StatusCode::kInvalidArgument) << signal;
    }
    EXPECT_EQ(SignalSet::create({SIGKILL}).status().message(), "SignalSet: 9: nobody can take this signal");
    EXPECT_EQ(SignalSet::create({}).status().code(), absl::StatusCode::kInvalidArgument) << "next() would wait for ever";
    co_return;
  });
}

}  // namespace
}  // namespace weir
