// Where weir's threads sleep: the kernel's futex, with absolute deadlines on the monotonic clock.
//
//   std::atomic<uint32_t> word{0};
//   // the sleeper                                  // the waker
//   while (word.load(acquire) == 0)                 word.store(1, release);
//     futex_wait(word, 0);                          futex_wake(word, 1);
//
// Which thread: any but the loop's, which sleeps in its ring. Both calls are one system call each: who knows that nobody
// sleeps skips futex_wake. Words are private to the process.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>

namespace weir::internal {

// Wakes every sleeper.
inline constexpr int kWakeAll = INT_MAX;

// Nanoseconds of CLOCK_MONOTONIC.
int64_t monotonic_now_ns() noexcept;

// Sleeps while `word` is `expected`: the comparison and the falling asleep are one step, so a change followed by
// futex_wake() cannot fall between them. False: the deadline passed (nanoseconds of CLOCK_MONOTONIC; INT64_MAX: none).
// True: anything else (woken, the word differed, a signal), so the caller looks at the word again.
bool futex_wait(const std::atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns = INT64_MAX) noexcept;

// Wakes up to `count` of those who sleep on `word`, the longest sleeper first.
void futex_wake(const std::atomic<uint32_t>& word, int count) noexcept;

}  // namespace weir::internal
