// The explorer's memory: the shapes that C++20 forbids do not occur in it, and those that it allows do.
#include "weir/tests/testing/explorer.h"

#include <gtest/gtest.h>

#include <memory>

namespace weir::testing {
namespace {

using Order = std::memory_order;
constexpr Order kRelaxed = std::memory_order_relaxed;
constexpr Order kAcquire = std::memory_order_acquire;
constexpr Order kRelease = std::memory_order_release;
constexpr Order kBoth = std::memory_order_acq_rel;
constexpr Order kSequential = std::memory_order_seq_cst;

struct Words {
  ExploredAtomic<uint32_t> x, y;
  int first = -1, second = -1, third = -1, fourth = -1;  // what the threads read
};
using Thread = void (*)(Words&);

// Whether some path ends as `outcome` says.
bool occurs(const std::vector<Thread>& threads, bool (*outcome)(const Words&)) {
  const ExplorerResult result = explore({.preemptions = 6, .stale_reads = 4, .surprises = 1}, [&] {
    auto words = std::make_shared<Words>();
    Scenario scenario;
    for (const Thread thread : threads) scenario.threads.push_back([words, thread] { thread(*words); });
    scenario.check = [words, outcome] { require(!outcome(*words), "it occurs"); };
    return scenario;
  });
  EXPECT_TRUE(result.complete || !result.failure.empty());
  return !result.failure.empty();
}

// Each thread writes one word, then reads the other: both may read the old value.
bool both_old(const Words& words) { return words.first == 0 && words.second == 0; }

template <Order kWrite, Order kRead>
bool stores_overtaken() {
  return occurs({[](Words& words) {
                   words.x.store(1, kWrite);
                   words.first = static_cast<int>(words.y.load(kRead));
                 },
                 [](Words& words) {
                   words.y.store(1, kSequential);
                   words.second = static_cast<int>(words.x.load(kSequential));
                 }},
                both_old);
}
TEST(Explorer, ALoadOvertakesAnEarlierStore) {
  EXPECT_TRUE((stores_overtaken<kRelease, kSequential>()));
  EXPECT_TRUE((stores_overtaken<kSequential, kAcquire>()));
  EXPECT_FALSE((stores_overtaken<kSequential, kSequential>()));
}

template <Order kWrite, Order kRead>
bool exchanges_overtaken() {
  return occurs({[](Words& words) {
                   words.x.exchange(1, kWrite);
                   words.first = static_cast<int>(words.y.load(kRead));
                 },
                 [](Words& words) {
                   words.y.exchange(1, kSequential);
                   words.second = static_cast<int>(words.x.load(kSequential));
                 }},
                both_old);
}
TEST(Explorer, ALoadOvertakesAnEarlierExchange) {
  EXPECT_TRUE((exchanges_overtaken<kBoth, kSequential>()));
  EXPECT_TRUE((exchanges_overtaken<kSequential, kAcquire>()));
  EXPECT_FALSE((exchanges_overtaken<kSequential, kSequential>()));
}

TEST(Explorer, FencesHoldLoadsBack) {
  EXPECT_FALSE(occurs({[](Words& words) {
                         words.x.store(1, kRelaxed);
                         explorer_internal::system_call();
                         words.first = static_cast<int>(words.y.load(kRelaxed));
                       },
                       [](Words& words) {
                         words.y.store(1, kRelaxed);
                         explorer_internal::system_call();
                         words.second = static_cast<int>(words.x.load(kRelaxed));
                       }},
                      both_old));
  EXPECT_FALSE(occurs({[](Words& words) {
                         words.x.store(1, kRelaxed);
                         ExplorerThreads::light_fence();
                         words.first = static_cast<int>(words.y.load(kRelaxed));
                       },
                       [](Words& words) {
                         words.y.store(1, kRelaxed);
                         ExplorerThreads::heavy_fence();
                         words.second = static_cast<int>(words.x.load(kRelaxed));
                       }},
                      both_old));
}

// A word that is ordered says that another one is written.
template <Order kWrite, Order kRead>
bool message_lost() {
  return occurs({[](Words& words) {
                   words.x.store(1, kRelaxed);
                   words.y.store(1, kWrite);
                 },
                 [](Words& words) {
                   words.first = static_cast<int>(words.y.load(kRead));
                   words.second = static_cast<int>(words.x.load(kRelaxed));
                 }},
                [](const Words& words) { return words.first == 1 && words.second == 0; });
}
TEST(Explorer, AReleaseAndItsAcquireHandOver) {
  EXPECT_FALSE((message_lost<kRelease, kAcquire>()));
  EXPECT_TRUE((message_lost<kRelaxed, kAcquire>()));
  EXPECT_TRUE((message_lost<kRelease, kRelaxed>()));
}

// Of a store that is not ordered by anything else, a sequentially consistent load need not know, though it read another
// word that was written later.
TEST(Explorer, ASequentialLoadIsAsEarlyAsItCanBe) {
  EXPECT_TRUE(occurs({[](Words& words) {
                        words.x.store(1, kSequential);
                        words.y.store(1, kRelaxed);
                      },
                      [](Words& words) {
                        words.first = static_cast<int>(words.y.load(kRelaxed));
                        words.second = static_cast<int>(words.x.load(kSequential));
                      }},
                     [](const Words& words) { return words.first == 1 && words.second == 0; }));
}

// Two threads read two words, which two others write, in opposite orders.
template <Order kOrder>
bool orders_differ() {
  return occurs({[](Words& words) { words.x.store(1, kOrder); }, [](Words& words) { words.y.store(1, kOrder); },
                 [](Words& words) {
                   words.first = static_cast<int>(words.x.load(kOrder == kSequential ? kSequential : kAcquire));
                   words.second = static_cast<int>(words.y.load(kOrder == kSequential ? kSequential : kAcquire));
                 },
                 [](Words& words) {
                   words.third = static_cast<int>(words.y.load(kOrder == kSequential ? kSequential : kAcquire));
                   words.fourth = static_cast<int>(words.x.load(kOrder == kSequential ? kSequential : kAcquire));
                 }},
                [](const Words& words) {
                  return words.first == 1 && words.second == 0 && words.third == 1 && words.fourth == 0;
                });
}
TEST(Explorer, SequentialStoresHaveOneOrder) {
  EXPECT_FALSE(orders_differ<kSequential>());
  EXPECT_TRUE(orders_differ<kRelease>());
}

TEST(Explorer, AFailedExchangeReadsOldValuesToo) {
  EXPECT_TRUE(occurs({[](Words& words) {
                        words.x.store(1, kRelaxed);
                        words.x.store(2, kRelaxed);
                        words.y.store(1, kRelaxed);
                      },
                      [](Words& words) {
                        words.first = static_cast<int>(words.y.load(kRelaxed));
                        uint32_t expected = 2;
                        words.x.compare_exchange_strong(expected, 3, kRelaxed, kRelaxed);
                        words.second = static_cast<int>(expected);
                      }},
                     [](const Words& words) { return words.first == 1 && words.second == 1; }));
}

TEST(Explorer, ReadsNeverGoBack) {
  EXPECT_FALSE(occurs({[](Words& words) { words.x.store(1, kRelaxed); },
                       [](Words& words) {
                         words.first = static_cast<int>(words.x.load(kRelaxed));
                         words.second = static_cast<int>(words.x.load(kRelaxed));
                       }},
                      [](const Words& words) { return words.first == 1 && words.second == 0; }));
}

// Who sleeps on an old value, after the wake-up for the new one, has not looked behind a fence; the futex does.
TEST(Explorer, AFutexMissesNoWakeUp) {
  EXPECT_FALSE(occurs({[](Words& words) {
                         words.x.store(1, kRelaxed);
                         ExplorerThreads::wake(words.x, 1);
                       },
                       [](Words& words) {
                         while (words.x.load(kRelaxed) == 0) ExplorerThreads::wait(words.x, 0);
                       }},
                      [](const Words&) { return false; }));
}

// But it may sleep on an old value when the wake-up is left to somebody who does not see the sleeper.
TEST(Explorer, AFutexSleepsOnAnOldValue) {
  EXPECT_TRUE(occurs({[](Words& words) {
                        words.x.exchange(1, kRelaxed);
                        if (words.y.load(kSequential) == 1) ExplorerThreads::wake(words.x, 1);
                      },
                      [](Words& words) {
                        words.y.store(1, kSequential);
                        ExplorerThreads::wait(words.x, 0);
                      }},
                     [](const Words&) { return false; }));
}

TEST(Explorer, AWeakExchangeFailsForNoReason) {
  const auto fails = [](const Words& words) { return words.first == 0; };
  EXPECT_TRUE(occurs({[](Words& words) {
                uint32_t expected = 0;
                words.first = words.x.compare_exchange_weak(expected, 1, kRelaxed) ? 1 : 0;
              }},
              fails));
  EXPECT_FALSE(occurs({[](Words& words) {
                 uint32_t expected = 0;
                 words.first = words.x.compare_exchange_strong(expected, 1, kRelaxed) ? 1 : 0;
               }},
               fails));
}

TEST(Explorer, ASleepEndsForNoReasonOrAtItsDeadline) {
  const Thread other = [](Words& words) {
    (void)words.y.load(kRelaxed);
    words.x.store(1, kRelaxed);
    ExplorerThreads::wake(words.x, 1);
  };
  const auto old = [](const Words& words) { return words.first == 0 && words.second == 1; };
  EXPECT_TRUE(occurs({[](Words& words) {
                        words.second = ExplorerThreads::wait(words.x, 0) ? 1 : 0;
                        words.first = static_cast<int>(words.x.load(kSequential));
                      },
                      other},
                     old));
  EXPECT_TRUE(occurs({[](Words& words) { words.first = ExplorerThreads::wait(words.x, 0, 1) ? 1 : 0; }, other},
                     [](const Words& words) { return words.first == 0; }));
}

// But it is no way out of a hang.
TEST(Explorer, ASleepThatNobodyEndsIsAHang) {
  EXPECT_TRUE(occurs({[](Words& words) { ExplorerThreads::wait(words.x, 0); }}, [](const Words&) { return false; }));
}

TEST(Explorer, AnySleeperMayBeTheOneThatIsWoken) {
  const Thread sleep = [](Words& words) {
    while (words.x.load(kRelaxed) == 0) ExplorerThreads::wait(words.x, 0);
    (words.first < 0 ? words.first : words.second) = 1;
    ExplorerThreads::wake(words.x, 1);
  };
  const Thread sleep_too = [](Words& words) {
    while (words.x.load(kRelaxed) == 0) ExplorerThreads::wait(words.x, 0);
    (words.first < 0 ? words.first : words.second) = 2;
    ExplorerThreads::wake(words.x, 1);
  };
  const Thread wake = [](Words& words) {
    words.x.store(1, kRelaxed);
    ExplorerThreads::wake(words.x, 1);
  };
  EXPECT_TRUE(occurs({sleep, sleep_too, wake}, [](const Words& words) { return words.first == 1; }));
  EXPECT_TRUE(occurs({sleep, sleep_too, wake}, [](const Words& words) { return words.first == 2; }));
}

TEST(Explorer, AnAtomicIsMadeBeforeItIsUsed) {
  struct Shared {
    ExploredAtomic<ExploredAtomic<int>*> made;
    std::unique_ptr<ExploredAtomic<int>> owner;
  };
  for (const Order order : {kRelease, kRelaxed}) {
    const ExplorerResult result = explore({}, [order] {
      auto shared = std::make_shared<Shared>();
      return Scenario{{[shared, order] {
                         shared->owner = std::make_unique<ExploredAtomic<int>>(1);
                         shared->made.store(shared->owner.get(), order);
                       },
                       [shared] {
                         if (auto* const made = shared->made.load(kAcquire)) (void)made->load(kRelaxed);
                       }},
                      nullptr};
    });
    EXPECT_EQ(result.failure.empty(), order == kRelease) << result.failure;
  }
}

}  // namespace
}  // namespace weir::testing
