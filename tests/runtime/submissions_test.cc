#include "weir/runtime/submissions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir {
namespace {

using testing::operate;
using testing::ScriptedLoop;
using testing::ScriptedRing;

constexpr int kOp = IORING_OP_READV;  // answered by nobody but the test

void complete_all(ScriptedRing& ring, bool) {
  while (const io_uring_sqe* entry = ring.find(kOp)) ring.complete(*entry, entry->fd);
}

Task<> operate_many(int count, bool waits_for_peer, std::vector<int>* results) {
  TaskGroup group;
  for (int i = 0; i < count; ++i) {
    group.spawn([](int number, bool peer, std::vector<int>* out) -> Task<> {
      const int result = co_await operate(kOp, number, peer);
      out->push_back(result);
    }(i, waits_for_peer, results));
  }
  co_await group.join();
}

std::vector<int> numbers(int count) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.push_back(i);
  return all;
}

TEST(Submissions, AFullQueueIsSubmittedAndNothingIsLost) {
  ScriptedLoop loop({.sq_entries = 4, .cq_entries = 1024});
  loop.ring.on_enter = complete_all;
  std::vector<int> results;
  loop->run(operate_many(100, true, &results));
  EXPECT_EQ(results, numbers(100));
  for (unsigned taken : loop.ring.taken_per_enter) EXPECT_LE(taken, 4u);
  // 100 operations and a wake-up or two in slots of 4, and no more enters than that takes.
  EXPECT_LE(loop->stats().enters, 28u);
  EXPECT_EQ(loop->stats().operations, 1u);  // the wake-up
}

TEST(Submissions, ShortEntersAreContinued) {
  ScriptedLoop loop({.sq_entries = 8, .cq_entries = 64});
  loop.ring.on_enter = complete_all;
  loop.ring.take_max = 1;
  std::vector<int> results;
  loop->run(operate_many(30, true, &results));
  EXPECT_EQ(results, numbers(30));
}

TEST(Submissions, DevicesAreAdmittedAgainstTheCompletionQueue) {
  ScriptedLoop loop({.sq_entries = 4, .cq_entries = 16});
  unsigned at_most = 0;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool wait) {
    at_most = std::max(at_most, ring.count(kOp));
    if (wait) complete_all(ring, wait);
  };
  std::vector<int> results;
  loop->run(operate_many(100, false, &results));
  EXPECT_EQ(results, numbers(100));
  EXPECT_EQ(at_most, 12u);  // three quarters of 16
  EXPECT_EQ(loop->stats().overflows, 0u);
}

TEST(Submissions, WhatWaitsForAPeerIsNeverWithheld) {
  ScriptedLoop loop({.sq_entries = 4, .cq_entries = 16});
  loop.ring.on_enter = [](ScriptedRing& ring, bool wait) {
    if (ring.count(kOp) == 100) complete_all(ring, wait);
  };
  std::vector<int> results;
  loop->run(operate_many(100, true, &results));
  std::sort(results.begin(), results.end());
  EXPECT_EQ(results, numbers(100));
  EXPECT_GT(loop->stats().overflows, 0u);
}

TEST(Submissions, DevicesThatWaitedForASlotAreAdmittedToo) {
  ScriptedLoop loop({.sq_entries = 4, .cq_entries = 16});
  unsigned at_most = 0;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool wait) {
    at_most = std::max(at_most, ring.count(kOp));
    if (wait) complete_all(ring, wait);
  };
  for (int i = 0; i < 200; ++i) loop.ring.refuse(-EAGAIN);
  std::vector<int> results;
  loop->run(operate_many(100, false, &results));
  std::sort(results.begin(), results.end());
  EXPECT_EQ(results, numbers(100));
  EXPECT_LE(at_most, 12u);
}

class Later : public ::testing::TestWithParam<int> {};

TEST_P(Later, AnEnterThatSaysLaterIsTriedAgain) {
  ScriptedLoop loop({.sq_entries = 4, .cq_entries = 16});
  loop.ring.on_enter = complete_all;
  for (int i = 0; i < 50; ++i) loop.ring.refuse(GetParam());
  std::vector<int> results;
  loop->run(operate_many(20, true, &results));
  std::sort(results.begin(), results.end());
  EXPECT_EQ(results, numbers(20));
  EXPECT_EQ(loop->stats().overflows, GetParam() == -EBUSY ? 50u : 0u);
}

INSTANTIATE_TEST_SUITE_P(Errno, Later, ::testing::Values(-EBUSY, -EAGAIN, -EINTR), [](const auto& param) {
  return std::string(param.param == -EBUSY ? "EBUSY" : param.param == -EAGAIN ? "EAGAIN" : "EINTR");
});

// The enter before the sleep is refused, so the wake-up has no slot; the next must not sleep before it has one.
TEST(Submissions, DoesNotSleepWhileSomethingHasNoSlot) {
  ScriptedLoop loop({.sq_entries = 2, .cq_entries = 16});
  bool slept_without_wake_up = false;
  unsigned most = 0;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool wait) {
    most = std::max(most, ring.count(kOp));
    if (wait && ring.count(IORING_OP_READ) == 0) slept_without_wake_up = true;
    if (wait) complete_all(ring, wait);
  };
  for (int i = 0; i < 9; ++i) loop.ring.refuse(-EAGAIN);
  std::vector<int> results;
  loop->run(operate_many(6, true, &results));
  EXPECT_FALSE(slept_without_wake_up);
  EXPECT_EQ(most, 6u);  // all were with the kernel before the loop slept
  EXPECT_EQ(results.size(), 6u);
}

// The same for one that was admitted at last, when the queue was full.
TEST(Submissions, DoesNotSleepWhileSomethingThatIsAdmittedHasNoSlot) {
  ScriptedLoop loop({.sq_entries = 2, .cq_entries = 4});  // admits 3
  int enters_that_take_nothing = 0;
  bool slept_without = false;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool wait) {
    if (ring.take_max == 0) {
      if (++enters_that_take_nothing == 1) ring.complete(*ring.find(kOp), 0);
      if (enters_that_take_nothing == 3) ring.take_max = UINT32_MAX;
    } else if (wait && enters_that_take_nothing != 0) {
      const auto is_last = [](const io_uring_sqe& entry) { return entry.opcode == kOp && entry.fd == 3; };
      slept_without |= std::none_of(ring.seen.begin(), ring.seen.end(), is_last);
      complete_all(ring, wait);
    }
  };
  loop->run([](ScriptedRing* ring) -> Task<> {
    std::vector<JoinHandle<int>> handles;
    for (int device = 0; device < 4; ++device) handles.push_back(spawn(operate(kOp, device, false)));
    co_await sleep_for(absl::Milliseconds(1));
    ring->take_max = 0;
    for (int peer = 10; peer < 12; ++peer) handles.push_back(spawn(operate(kOp, peer, true)));
    for (auto& handle : handles) (void)co_await handle;
  }(&loop.ring));
  EXPECT_FALSE(slept_without);
}

TEST(Submissions, AnErrorThatIsNotLaterEndsRun) {
  ScriptedLoop loop;
  loop.ring.refuse(-EBADR);
  try {
    (void)loop->run(operate(IORING_OP_NOP, 0));
    ADD_FAILURE() << "run() went on";
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find("io_uring_enter"), std::string::npos) << e.what();
  }
}

TEST(Submissions, OverflowedCompletionsAreFlushedAndCounted) {
  ScriptedLoop loop({.sq_entries = 4, .cq_entries = 4});
  loop.ring.on_enter = [](ScriptedRing& ring, bool wait) {
    if (ring.count(kOp) == 40) complete_all(ring, wait);
  };
  std::vector<int> results;
  loop->run(operate_many(40, true, &results));
  EXPECT_EQ(results, numbers(40));
  EXPECT_GE(loop->stats().overflows, 8u);
}

TEST(Submissions, CompletionsInAnyOrder) {
  ScriptedLoop loop({.sq_entries = 16, .cq_entries = 64});
  loop.ring.on_enter = [](ScriptedRing& ring, bool wait) {
    if (!wait) return;
    const std::vector<io_uring_sqe> all = ring.pending();
    for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
      if (entry->opcode == kOp) ring.complete(*entry, entry->fd);
    }
  };
  std::vector<int> results;
  loop->run(operate_many(10, true, &results));
  std::vector<int> expected = numbers(10);
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(results, expected);
}

TEST(Submissions, MissingOpcodesAnswerThroughTheirCompletion) {
  ScriptedLoop loop;
  constexpr int kUnknown = 200;  // not one of weir's own
  loop.ring.missing = {kUnknown};
  EXPECT_FALSE(loop.ring.supports(kUnknown));
  EXPECT_EQ(loop->run(operate(kUnknown, 1)), -EINVAL);
}

TEST(Submissions, ResultsArriveAsTheyAre) {
  for (int result : {0, 1, 4096, -ENOBUFS, -EIO, -ECANCELED, -EINTR}) {
    ScriptedLoop loop;
    loop.ring.on_enter = [&](ScriptedRing& ring, bool) {
      if (const io_uring_sqe* entry = ring.find(kOp)) ring.complete(*entry, result);
    };
    EXPECT_EQ(loop->run(operate(kOp, 1)), result);
  }
}

// --- cancelling

Task<std::string> cancelled_after_yields(int yields) {
  JoinHandle<int> handle = spawn(operate(kOp, 7));
  for (int i = 0; i < yields; ++i) co_await yield();
  handle.cancel();
  try {
    const int result = co_await handle;
    co_return "result " + std::to_string(result);
  } catch (const Cancelled&) {
  }
  co_return "cancelled";
}

TEST(Cancel, BeforeTheTaskBegins) {
  ScriptedLoop loop;
  EXPECT_EQ(loop->run(cancelled_after_yields(0)), "cancelled");
  EXPECT_EQ(loop.ring.seen_count(kOp), 0u);
}

TEST(Cancel, BeforeSubmission) {
  ScriptedLoop loop;
  EXPECT_EQ(loop->run(cancelled_after_yields(1)), "cancelled");
  EXPECT_EQ(loop.ring.seen_count(kOp), 1u);
  EXPECT_EQ(loop.ring.seen_count(IORING_OP_ASYNC_CANCEL), 1u);
  EXPECT_EQ(loop.ring.taken_per_enter.front(), 3u);  // both, and the wake-up, in one enter
}

TEST(Cancel, QueuedForASlotIsNeverSubmitted) {
  ScriptedLoop loop({.sq_entries = 1, .cq_entries = 16});
  bool refusing = true;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool) {
    if (const io_uring_sqe* first = ring.find(kOp); first != nullptr && !refusing) ring.complete(*first, first->fd);
  };
  loop.ring.refuse(-EAGAIN);
  loop.ring.refuse(-EAGAIN);
  loop->run([](bool* on) -> Task<> {
    JoinHandle<int> first = spawn(operate(kOp, 1));
    JoinHandle<int> second = spawn(operate(kOp, 2));
    co_await yield();
    second.cancel();
    EXPECT_THROW((void)co_await second, Cancelled);
    *on = false;
    const int result = co_await first;
    EXPECT_EQ(result, 1);
  }(&refusing));
  for (const io_uring_sqe& entry : loop.ring.seen) {
    if (entry.opcode == kOp) {
      EXPECT_EQ(entry.fd, 1);
    }
  }
}

TEST(Cancel, QueuedForAdmissionIsNeverSubmitted) {
  ScriptedLoop loop({.sq_entries = 4, .cq_entries = 4});  // admits 3
  bool hold = true;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool wait) {
    if (!hold) complete_all(ring, wait);
  };
  loop->run([](bool* held) -> Task<> {
    std::vector<JoinHandle<int>> handles;
    for (int i = 0; i < 5; ++i) handles.push_back(spawn(operate(kOp, i, false)));
    co_await sleep_for(absl::Milliseconds(1));
    handles[3].cancel();
    EXPECT_THROW((void)co_await handles[3], Cancelled);
    *held = false;
    for (int i : {0, 1, 2, 4}) {
      const int result = co_await handles[static_cast<std::size_t>(i)];
      EXPECT_EQ(result, i);
    }
  }(&hold));
  EXPECT_EQ(loop.ring.seen_count(kOp), 4u);
}

Task<std::string> cancelled_in_flight() {
  JoinHandle<int> handle = spawn(operate(kOp, 7));
  co_await sleep_for(absl::Milliseconds(1));
  handle.cancel();
  try {
    const int result = co_await handle;
    co_return "result " + std::to_string(result);
  } catch (const Cancelled&) {
  }
  co_return "cancelled";
}

TEST(Cancel, InFlight) {
  ScriptedLoop loop;
  EXPECT_EQ(loop->run(cancelled_in_flight()), "cancelled");
  EXPECT_EQ(loop->stats().operations, 1u);
}

// How the kernel answers a cancel: the operation's completion before or after the cancel's, in the same enter or a later
// one, and what the two say.
struct Answer {
  bool operation_first;
  bool together;
  int operation;
  int cancel;
  const char* expected;
};

class Answers : public ::testing::TestWithParam<Answer> {};

TEST_P(Answers, BothCompletionsAreAwaited) {
  const Answer& answer = GetParam();
  ScriptedLoop loop;
  loop.ring.by_hand = {IORING_OP_ASYNC_CANCEL};
  bool first_given = false;
  bool gone_early = false;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool) {
    const auto give = [&](bool operation) {
      const io_uring_sqe* entry = ring.find(operation ? kOp : IORING_OP_ASYNC_CANCEL);
      if (entry != nullptr) ring.complete(*entry, operation ? answer.operation : answer.cancel);
    };
    if (first_given) {
      gone_early |= loop->stats().operations != 2;
      give(!answer.operation_first);
    } else if (ring.find(IORING_OP_ASYNC_CANCEL) != nullptr) {
      first_given = true;
      give(answer.operation_first);
      if (answer.together) give(!answer.operation_first);
    }
  };
  EXPECT_EQ(loop->run(cancelled_in_flight()), answer.expected);
  EXPECT_FALSE(gone_early);
  EXPECT_EQ(loop.ring.seen_count(IORING_OP_ASYNC_CANCEL), 1u);
}

INSTANTIATE_TEST_SUITE_P(Orders, Answers,
                         ::testing::Values(Answer{true, false, -ECANCELED, 0, "cancelled"},
                                           Answer{false, false, -ECANCELED, 0, "cancelled"},
                                           Answer{true, true, -ECANCELED, 0, "cancelled"},
                                           Answer{false, true, -ECANCELED, 0, "cancelled"},
                                           Answer{true, false, 5, -ENOENT, "result 5"},      // won the race
                                           Answer{true, true, 5, -ENOENT, "result 5"},
                                           Answer{false, false, 5, -EALREADY, "result 5"},   // a worker finishes it
                                           Answer{false, false, -EINTR, -EALREADY, "cancelled"},
                                           Answer{true, false, -EIO, -ENOENT, "result -5"}));

// When a cancel is asked again: until `answered` of them have been asked.
std::vector<int64_t> pauses_ms(ScriptedLoop& loop, std::size_t answered) {
  std::vector<int64_t> asked_ns;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool) {
    const io_uring_sqe* cancel = ring.find(IORING_OP_ASYNC_CANCEL);
    if (cancel == nullptr) return;
    asked_ns.push_back(loop.kernel.now_ns());
    if (asked_ns.size() < answered) return ring.complete(*cancel, -ENOENT);
    ring.complete(*cancel, 0);
    ring.complete(*ring.find(kOp), -ECANCELED);
  };
  EXPECT_EQ(loop->run(cancelled_in_flight()), "cancelled");
  EXPECT_EQ(asked_ns.size(), answered);
  std::vector<int64_t> pauses;
  for (std::size_t i = 1; i < asked_ns.size(); ++i) pauses.push_back((asked_ns[i] - asked_ns[i - 1]) / 1'000'000);
  return pauses;
}

TEST(Cancel, NotFoundIsAskedAgainAfterGrowingPauses) {
  ScriptedLoop loop;
  loop.ring.by_hand = {IORING_OP_ASYNC_CANCEL};
  EXPECT_EQ(pauses_ms(loop, 13), (std::vector<int64_t>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024}));
  EXPECT_EQ(pauses_ms(loop, 3), (std::vector<int64_t>{1, 2})) << "the pauses begin anew with the next cancel";
}

TEST(Cancel, CompletesWhileItsCancelWaitsToBeAskedAgain) {
  ScriptedLoop loop;
  loop.ring.by_hand = {IORING_OP_ASYNC_CANCEL};
  int asked = 0;
  loop.ring.on_enter = [&](ScriptedRing& ring, bool) {
    if (const io_uring_sqe* cancel = ring.find(IORING_OP_ASYNC_CANCEL)) {
      ++asked;
      ring.complete(*cancel, -ENOENT);
    } else if (asked != 0 && ring.find(kOp) != nullptr) {
      ring.complete(*ring.find(kOp), 9);
    }
  };
  EXPECT_EQ(loop->run(cancelled_in_flight()), "result 9");
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(loop.engine().timers().size(), 0u);
}

TEST(Cancel, WithoutASlotIsSubmittedLater) {
  ScriptedLoop loop({.sq_entries = 2, .cq_entries = 64});
  loop->run([](ScriptedRing* ring) -> Task<> {
    std::vector<JoinHandle<int>> handles;
    for (int i = 0; i < 20; ++i) handles.push_back(spawn(operate(kOp, i)));
    co_await sleep_for(absl::Milliseconds(1));
    for (int i = 0; i < 15; ++i) ring->refuse(-EBUSY);
    for (auto& handle : handles) handle.cancel();
    for (auto& handle : handles) EXPECT_THROW((void)co_await handle, Cancelled);
  }(&loop.ring));
  EXPECT_EQ(loop->stats().operations, 1u);
}

TEST(Cancel, AResultThatArrivedInSpiteOfItIsReturnedAndTheNextAwaitThrows) {
  ScriptedLoop loop;
  loop.ring.by_hand = {IORING_OP_ASYNC_CANCEL};
  loop.ring.on_enter = [](ScriptedRing& ring, bool) {
    if (const io_uring_sqe* cancel = ring.find(IORING_OP_ASYNC_CANCEL)) {
      ring.complete(*cancel, -ENOENT);
      ring.complete(*ring.find(kOp), 3);
    }
  };
  int got = 0;
  bool went_on = false;
  const auto body = [](int* result, bool* on) -> Task<> {
    *result = co_await operate(kOp, 1);
    co_await yield();
    *on = true;
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(body(&got, &went_on));
    co_await sleep_for(absl::Milliseconds(1));
    handle.cancel();
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop->run(test());
  EXPECT_EQ(got, 3);
  EXPECT_FALSE(went_on);
}

TEST(Cancel, TwiceIsOnce) {
  ScriptedLoop loop;
  loop->run([]() -> Task<> {
    JoinHandle<int> handle = spawn(operate(kOp, 7));
    co_await sleep_for(absl::Milliseconds(1));
    handle.cancel();
    handle.cancel();
    EXPECT_THROW((void)co_await handle, Cancelled);
    handle.cancel();
  }());
  EXPECT_EQ(loop.ring.seen_count(IORING_OP_ASYNC_CANCEL), 1u);
}

TEST(Cancel, ARefusedFillTravelsAsANopThatNobodyHearsOf) {
  ScriptedLoop loop;
  const auto refuse = [](io_uring_sqe* entry) {
    io_uring_prep_nop(entry);
    entry->flags |= IOSQE_IO_LINK;
  };
  EXPECT_THROW((void)loop->run(submit(refuse)), std::invalid_argument);
  EXPECT_EQ(loop->run(operate(IORING_OP_NOP, 0)), 0);
  ASSERT_FALSE(loop.ring.seen.empty());
  EXPECT_EQ(loop.ring.seen.front().opcode, IORING_OP_NOP);
  EXPECT_EQ(loop.ring.seen.front().flags, 0);
  EXPECT_EQ(loop.ring.seen.front().user_data, 0u);
}

}  // namespace
}  // namespace weir
