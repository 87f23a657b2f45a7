#include "weir/runtime/on.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/runtime/context.h"
#include "weir/runtime/time.h"
#include "weir/runtime/timeout.h"
#include "weir/tests/testing/test_loop.h"

namespace weir {
namespace {

using ::testing::IsEmpty;
using testing::storm;
using testing::TestLoop;

Task<> forever() { co_await sleep_for(absl::InfiniteDuration()); }

// A loop on a thread of its own, until the end of the test or stop().
class Elsewhere {
 public:
  Elsewhere() {
    std::promise<LoopHandle> ready;
    auto handle = ready.get_future();
    thread_ = std::thread([this, &ready] {
      TestLoop loop;
      id_ = std::this_thread::get_id();
      const auto body = [&]() -> Task<> {
        auto serving = spawn(forever());
        quit_ = [&serving] { serving.cancel(); };
        ready.set_value(LoopHandle::current());
        try {
          co_await serving;
        } catch (const Cancelled&) {
        }
      };
      loop.run(body());
      loop.destroy();
      reports_ = loop.reports();
    });
    handle_.emplace(handle.get());
  }
  ~Elsewhere() { stop(); }

  LoopHandle handle() const { return *handle_; }
  std::thread::id id() const { return id_; }
  void stop() {
    if (!thread_.joinable()) return;
    handle_->post([this] { quit_(); });
    thread_.join();
  }
  // After stop().
  const std::vector<std::string>& reports() const { return reports_; }

 private:
  std::thread thread_;
  std::thread::id id_;
  std::function<void()> quit_;
  std::optional<LoopHandle> handle_;
  std::vector<std::string> reports_;
};

TEST(OnTest, RunsThereAndGivesItsResultHere) {
  Elsewhere there;
  TestLoop here;
  const auto add = [&](int a, std::unique_ptr<int> b) -> Task<std::unique_ptr<int>> {
    EXPECT_EQ(std::this_thread::get_id(), there.id());
    EXPECT_EQ(LoopHandle::current(), there.handle());
    co_await yield();
    co_return std::make_unique<int>(a + *b);
  };
  const auto body = [&]() -> Task<> {
    const auto id = std::this_thread::get_id();
    EXPECT_EQ(*co_await on(there.handle(), add, 1, std::make_unique<int>(41)), 42);
    EXPECT_EQ(std::this_thread::get_id(), id);
    const auto nothing = []() -> Task<> { co_return; };
    co_await on(there.handle(), nothing);
    // Its own loop will do, too.
    const auto three = []() -> Task<int> { co_return 3; };
    EXPECT_EQ(co_await on(LoopHandle::current(), three), 3);
  };
  here.run(body());
}

TEST(OnTest, APlainFunctionRunsThere) {
  Elsewhere there;
  TestLoop here;
  const auto body = [&]() -> Task<> {
    EXPECT_EQ(co_await on(there.handle(), [] { return std::this_thread::get_id(); }), there.id());
    int number = 0;
    int& same = co_await on(
        there.handle(), [](int& n, std::unique_ptr<int> by) -> int& { return n += *by; }, std::ref(number), std::make_unique<int>(3));
    EXPECT_EQ(&same, &number);
    EXPECT_EQ(number, 3);
    co_await on(there.handle(), [] {});
    EXPECT_THROW(co_await on(there.handle(), [] { throw 3; }), int);
  };
  here.run(body());
}

struct Odd {
  const Odd* self = this;
};

TEST(OnTest, TheVerySameExceptionComesOver) {
  Elsewhere there;
  TestLoop here;
  const auto work = []() -> Task<int> {
    throw Odd();
    co_return 1;
  };
  const auto refuse = []() -> Task<int> { throw std::runtime_error("before any coroutine"); };
  const auto body = [&]() -> Task<> {
    bool caught = false;
    try {
      co_await on(there.handle(), work);
    } catch (const Odd& odd) {
      caught = true;
      EXPECT_EQ(odd.self, &odd);
    }
    EXPECT_TRUE(caught);
    EXPECT_THROW(co_await on(there.handle(), refuse), std::runtime_error);
  };
  here.run(body());
  there.stop();
  EXPECT_THAT(here.reports(), IsEmpty());
  EXPECT_THAT(there.reports(), IsEmpty());
}

TEST(OnTest, ASnapshotOfTheContextGoesOver) {
  Elsewhere there;
  TestLoop here;
  ContextVar<std::string> var("var", "none");
  const auto read = [&]() -> Task<std::string> {
    co_await yield();
    const std::string seen = var.get();
    var.set("changed there");
    co_return seen;
  };
  const auto body = [&]() -> Task<> {
    var.set("here");
    auto call = on(there.handle(), read);
    var.set("later");
    EXPECT_EQ(co_await std::move(call), "here");
    EXPECT_EQ(var.get(), "later");
  };
  here.run(body());
}

TEST(OnTest, ACancelGoesOverAndIsWaitedFor) {
  Elsewhere there;
  TestLoop here;
  std::atomic<bool> began{false};
  std::atomic<bool> unwound{false};
  const auto work = [&]() -> Task<> {
    began = true;
    try {
      co_await forever();
    } catch (const Cancelled&) {
      unwound = true;
      throw;
    }
  };
  const auto body = [&]() -> Task<> {
    auto call = spawn(on(there.handle(), work));
    while (!began) co_await yield();
    call.cancel();
    EXPECT_THROW(co_await call, Cancelled);
    EXPECT_TRUE(unwound);
    const absl::Status late = co_await timeout(absl::Milliseconds(1), on(there.handle(), work));
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  };
  here.run(body());
}

// Two loops on one thread: the other stands still, so nothing of it is a race.
TEST(OnTest, WhatHasNotBegunIsWithdrawn) {
  TestLoop there;
  const LoopHandle handle = there.handle();
  bool ran = false;
  auto alive = std::make_shared<int>(1);
  const auto work = [&ran, alive]() -> Task<> {
    ran = true;
    co_return;
  };
  {
    TestLoop here;
    const auto body = [&]() -> Task<> {
      const absl::Status late = co_await timeout(absl::Milliseconds(1), on(handle, work));
      EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
      auto call = spawn(on(handle, work));
      co_await yield();
      co_await yield();
      call.cancel();
      EXPECT_THROW(co_await call, Cancelled);
    };
    here.run(body());
  }
  there.run(yield());
  EXPECT_FALSE(ran);
  EXPECT_EQ(alive.use_count(), 2) << "all copies but the one in `work` are gone";
}

TEST(OnTest, ALoopThatGoesOrIsGoneIsLoopClosed) {
  TestLoop here;
  auto there = std::make_unique<TestLoop>();
  const LoopHandle handle = there->handle();
  bool ran = false;
  const auto work = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto body = [&]() -> Task<> {
    // Asked, and the other loop goes without ever turning.
    auto call = spawn(on(handle, work));
    co_await yield();
    co_await yield();
    there.reset();
    EXPECT_THROW(co_await call, LoopClosed);
    // Gone.
    EXPECT_THROW(co_await on(handle, work), LoopClosed);
    // What was refused leaves nothing behind that a cancel could reach.
    auto late = spawn([&]() -> Task<> {
      try {
        co_await on(handle, work);
      } catch (const LoopClosed&) {
      }
      co_await yield();
      co_await yield();
    });
    co_await yield();
    late.cancel();
    EXPECT_THROW(co_await late, Cancelled);
  };
  here.run(body());
  EXPECT_FALSE(ran);
}

TEST(OnTest, BetweenTwoLoopsOfOneThreadItIsADeadlock) {
  TestLoop first;
  TestLoop second;
  const auto never = []() -> Task<> {
    ADD_FAILURE() << "began";
    co_return;
  };
  const auto nothing = []() -> Task<> { co_return; };
  const auto ask = [&]() -> Task<> { co_await on(second.handle(), never); };
  second.run(nothing());
  EXPECT_THROW(first.run(ask()), DeadlockError);
}

// When it is asked nobody knows yet that the other loop will have the same thread; when it begins, both know.
TEST(OnTest, BetweenLoopsThatTurnOutToHaveOneThreadItIsADeadlock) {
  TestLoop first;
  auto second = std::make_unique<TestLoop>();
  const auto work = []() -> Task<> {
    ADD_FAILURE() << "began";
    co_await forever();
  };
  std::optional<JoinHandle<void>> call;
  const auto ask = [&]() -> Task<> {
    call.emplace(spawn(on(second->handle(), work)));
    co_await yield();
  };
  const auto look = [&]() -> Task<> { EXPECT_THROW(co_await *call, DeadlockError); };
  const auto settle = []() -> Task<> { co_await sleep_for(absl::Milliseconds(1)); };
  first.run(ask());
  second->run(settle());
  first.run(look());

  // And either may go while it stands like that.
  first.run(ask());
  second->run(settle());
  first.destroy();
}

TEST(OnTest, ATaskThatIsCutOffByItsLoopIsLoopClosed) {
  Elsewhere there;
  TestLoop here;
  std::atomic<bool> began{false};
  const auto work = [&]() -> Task<> {
    began = true;
    co_await forever();
  };
  const auto body = [&]() -> Task<> {
    auto call = spawn(on(there.handle(), work));
    while (!began) co_await yield();
    std::thread([&] { there.stop(); }).join();
    EXPECT_THROW(co_await call, LoopClosed);
  };
  here.run(body());
}

TEST(OnTest, ALoopThatGoesWhileItWaitsForAnother) {
  Elsewhere there;
  std::atomic<bool> began{false};
  std::atomic<bool> unwound{false};
  const auto work = [&]() -> Task<> {
    began = true;
    try {
      co_await forever();
    } catch (const Cancelled&) {
      unwound = true;
      throw;
    }
  };
  {
    TestLoop here;
    const auto body = [&]() -> Task<> {
      (void)spawn(on(there.handle(), work));
      while (!began) co_await yield();
    };
    here.run(body());
  }
  EXPECT_TRUE(unwound);
}

// Calls in both directions, that end, fail, are cancelled at any moment; one of the loops goes in the middle.
TEST(OnTest, Storm) {
  const int rounds = storm(20);
  for (int round = 0; round < rounds; ++round) {
    auto there = std::make_unique<Elsewhere>();
    const LoopHandle handle = there->handle();
    std::thread stopper;
    TestLoop here;
    const LoopHandle home = here.handle();
    std::atomic<int> alive{0};
    struct Alive {
      std::atomic<int>& count;
      explicit Alive(std::atomic<int>& of) : count(of) { ++count; }
      ~Alive() { --count; }
    };
    const auto back = []() -> Task<int> { co_return 1; };
    const auto work = [&](int number) -> Task<int> {
      const Alive held(alive);
      if (number % 3 == 0) co_await yield();
      if (number % 5 == 0) throw std::runtime_error("storm");
      if (number % 7 == 0) co_return co_await on(home, back);
      if (number % 2 == 0) co_await sleep_for(absl::Microseconds(number % 100));
      co_return number;
    };
    int ended = 0;
    int closed = 0;
    const auto call = [&](int number) -> Task<> {
      try {
        co_await on(handle, work, number);
      } catch (const LoopClosed&) {
        ++closed;
      } catch (const std::runtime_error&) {
      } catch (const Cancelled&) {
        ++ended;
        throw;
      }
      ++ended;
    };
    constexpr int kCalls = 300;
    const auto body = [&]() -> Task<> {
      std::minstd_rand random(static_cast<unsigned>(round) + 1);
      std::vector<JoinHandle<>> handles;
      for (int number = 0; number < kCalls; ++number) {
        handles.push_back(spawn(call(number)));
        if (random() % 4 == 0) co_await yield();
        if (random() % 4 == 0) handles[random() % handles.size()].cancel();
        if (number == kCalls / 2) stopper = std::thread([&there] { there->stop(); });
      }
      for (auto& waited : handles) {
        try {
          co_await waited;
        } catch (const Cancelled&) {
        }
      }
    };
    here.run(body());
    stopper.join();
    EXPECT_EQ(alive.load(), 0);
    EXPECT_LE(ended, kCalls);
    EXPECT_GE(closed, 0);
  }
}

}  // namespace
}  // namespace weir
