#include "weir/bridge/entrypoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "weir/tests/testing/child_process.h"
#include "weir/weir.h"

// A program that is given up leaves its threads behind on purpose.
extern "C" const char* __tsan_default_options() { return "report_thread_leaks=0"; }

namespace weir {
namespace {

struct Ended {
  int status = -1;
  std::string errors;
};

// Runs a program in a child process of its own, which ends by SIGALRM if it hangs. This process has no other thread, as
// ThreadSanitizer wants it of one that forks.
Ended in_child(const std::function<int()>& program) {
  int errors[2];
  if (pipe(errors) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    ::alarm(60);
    dup2(errors[1], STDERR_FILENO);
    close(errors[0]);
    close(errors[1]);
    _exit(program());
  }
  close(errors[1]);
  Ended ended;
  char text[512];
  for (ssize_t size; (size = read(errors[0], text, sizeof text)) > 0;) ended.errors.append(text, size);
  close(errors[0]);
  int status = 0;
  waitpid(child, &status, 0);
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return ended;
}

Task<> forever() {
  Event never;
  co_await never.wait();
}
Task<int> give(int status) { co_return status; }
Task<> nothing() { co_return; }
Task<> fail() {
  throw std::runtime_error("no disk");
  co_return;
}
Task<> signalled(int signal) {
  ::raise(signal);
  co_await forever();
}
Task<int> signalled_but_finishes(int signal) {
  ::raise(signal);
  try {
    co_await forever();
  } catch (const Cancelled&) {
  }
  co_return 5;
}

TEST(Entrypoint, TheStatusIsWhatItGives) {
  EXPECT_EQ(in_child([] { return entrypoint(give(3)); }).status, 3);
  EXPECT_EQ(in_child([] { return entrypoint(nothing()); }).status, 0);
  EXPECT_EQ(in_child([] { return entrypoint({.pool_size = 2}, give(4)); }).status, 4);
}

TEST(Entrypoint, AnExceptionIsOneLineAndOne) {
  const Ended ended = in_child([] { return entrypoint(fail()); });
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.errors, "no disk\n");
}

TEST(Entrypoint, E07_ASignalCancelsAndIsTheStatus) {
  EXPECT_EQ(in_child([] { return entrypoint(signalled(SIGINT)); }).status, 128 + SIGINT);
  EXPECT_EQ(in_child([] { return entrypoint(signalled(SIGTERM)); }).status, 128 + SIGTERM);
  EXPECT_EQ(in_child([] { return entrypoint(signalled_but_finishes(SIGTERM)); }).status, 5);
}

TEST(Entrypoint, D26_N25_ASecondSignalEndsItAtOnce) {
  const Ended ended = in_child([] {
    return entrypoint([]() -> Task<> {
      ::raise(SIGTERM);
      ::raise(SIGTERM);  // the loop stands still here
      co_return;
    }());
  });
  EXPECT_EQ(ended.status, 128 + SIGTERM);
}

TEST(Entrypoint, E07_WhatDoesNotEndInTimeIsGivenUp) {
  const Ended ended = in_child([] {
    return entrypoint({.shutdown_timeout = absl::Milliseconds(20)}, []() -> Task<> {
      static std::atomic<bool> running{false};  // a job that is still queued would be dropped
      auto f = threaded([] {
        running = true;
        for (;;) ::pause();
      });
      f().detach();
      while (!running) co_await yield();
      co_await signalled(SIGTERM);
    }());
  });
  EXPECT_EQ(ended.status, 70);
  EXPECT_NE(ended.errors.find("not finished within"), std::string::npos) << ended.errors;
  EXPECT_NE(ended.errors.find("still running: on threads: pool-"), std::string::npos) << ended.errors;
}

TEST(Entrypoint, WhatDoesNotEndInTimeIsNamed) {
  const Ended ended = in_child([] {
    return entrypoint({.shutdown_timeout = absl::Milliseconds(20)}, []() -> Task<> {
      for (int i = 0; i < 3; ++i) (void)spawn(shield(forever()), "upload");
      co_await yield();  // they begin
      co_await signalled(SIGTERM);
    }());
  });
  EXPECT_EQ(ended.status, 70);
  EXPECT_NE(ended.errors.find("upload (x3)"), std::string::npos) << ended.errors;
}

TEST(Entrypoint, ALoopThatDoesNotTurnInTheEndIsNamedToo) {
  const Ended ended = in_child([] {
    return entrypoint({.shutdown_timeout = absl::Milliseconds(20)}, []() -> Task<> {
      try {
        co_await signalled(SIGTERM);
      } catch (const Cancelled&) {
        for (;;) ::pause();
      }
    }());
  });
  EXPECT_EQ(ended.status, 70);
  EXPECT_NE(ended.errors.find("the loop does not turn"), std::string::npos) << ended.errors;
}

TEST(Entrypoint, SignalsAreLeftAloneIfSoWished) {
  const Ended ended = in_child([] { return entrypoint({.catch_signals = false}, signalled(SIGTERM)); });
  EXPECT_EQ(ended.status, 1000 + SIGTERM);
}

TEST(Entrypoint, D28_OnAnyThread) {
  EXPECT_EQ(in_child([] {
              int status = -1;
              std::thread thread([&status] { status = entrypoint(signalled(SIGTERM)); });
              thread.join();
              return status;
            }).status,
            128 + SIGTERM);
}

Task<int> pool_size() {
  co_return static_cast<int>(internal::BridgeAnnex::of(*internal::thread_state.engine).pool().stats().size);
}
TEST(Entrypoint, P01_ThePoolsSize) {
  EXPECT_EQ(in_child([] { return entrypoint({.pool_size = 3}, pool_size()); }).status, 3);
  const auto from_environment = [](const char* text) {
    return in_child([text] {
      ::setenv("WEIR_POOL_SIZE", text, 1);
      return entrypoint(pool_size());
    });
  };
  EXPECT_EQ(from_environment("6").status, 6);
  EXPECT_GE(from_environment("0").status, 4);
  const Ended wrong = from_environment("many");
  EXPECT_GE(wrong.status, 4);
  EXPECT_NE(wrong.errors.find("WEIR_POOL_SIZE=many"), std::string::npos);
}

TEST(Entrypoint, P01_WhichSizesTheEnvironmentMaySay) {
  const auto errors_of = [](const std::string& text) {
    return in_child([&text] {
      ::setenv("WEIR_POOL_SIZE", text.c_str(), 1);
      return entrypoint(nothing());  // makes no pool
    }).errors;
  };
  EXPECT_EQ(errors_of(""), "");
  EXPECT_EQ(errors_of(std::to_string(ThreadPool::kSizeMax)), "");
  EXPECT_NE(errors_of(std::to_string(ThreadPool::kSizeMax + 1)), "");
}

TEST(Entrypoint, CancelledByNobodyIsOneLineAndOne) {
  const Ended ended = in_child([] {
    return entrypoint([]() -> Task<> {
      throw Cancelled();
      co_return;
    }());
  });
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.errors, "weir: the program was cancelled\n");
}

TEST(Entrypoint, AnOddExceptionIsOneLineAndOne) {
  const Ended ended = in_child([] {
    return entrypoint([]() -> Task<> {
      throw 7;
      co_return;
    }());
  });
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.errors, "weir: the program ended with an exception of an unknown type\n");
}

TEST(Entrypoint, WithoutALoopItSaysWhy) {
  const Ended ended = in_child([] {
    if (!testing::refuse_system_call(__NR_io_uring_setup, ENOSYS)) return testing::kCannotTry;
    return entrypoint(give(3));
  });
  if (ended.status == testing::kCannotTry) GTEST_SKIP();
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.errors.find("io_uring_setup"), std::string::npos) << ended.errors;
}

// The watchdog ends what runs on after the end of main(), too, and the loop itself has no patience that ends before.
TEST(Entrypoint, E07_WhatIsLeftAtTheEndIsGivenUp) {
  const Ended ended = in_child([] {
    return entrypoint({.shutdown_timeout = absl::Milliseconds(20)}, []() -> Task<int> {
      if (internal::BridgeAnnex::of(*internal::thread_state.engine).patience() != absl::InfiniteDuration()) co_return 3;
      static std::atomic<bool> running{false};
      const auto f = threaded([] {
        running = true;
        for (;;) ::pause();
      });
      f().detach();
      while (!running) co_await yield();
      co_return 0;
    }());
  });
  EXPECT_EQ(ended.status, 70);
}

TEST(Entrypoint, RunRethrows) {
  EXPECT_THROW(run(fail()), std::runtime_error);
  EXPECT_EQ(run(give(9)), 9);
}

TEST(Entrypoint, I41_N22_ALiveStreamDoesNotKeepItFromEnding) {
  const Ended ended = in_child([] {
    return entrypoint([]() -> Task<int> {
      static IteratorWrapper<int>* held = nullptr;
      held = new IteratorWrapper<int>([](Sink<int>& sink) {
        for (int i = 0;; ++i) sink.put(i);
      }, IterableOptions{.max_size = 2});
      co_return (co_await held->next()).value() + 8;
    }());
  });
  EXPECT_EQ(ended.status, 8);
  EXPECT_EQ(ended.errors, "");
}

}  // namespace
}  // namespace weir
