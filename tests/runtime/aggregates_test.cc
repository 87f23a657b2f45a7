// No public awaiter, handle or result type is an aggregate, since g++ 12 destroys temporaries of such types twice in an
// awaiting expression. Option structs are aggregates on purpose, and own nothing.
#include <gtest/gtest.h>

#include <string>
#include <type_traits>

#include "weir/runtime.h"

namespace weir {
namespace {

template <class... T>
constexpr bool kNoneIsAggregate = (!std::is_aggregate_v<T> && ...);
template <class... T>
constexpr bool kAllOwnNothing = (std::is_trivially_destructible_v<T> && ...);

using Text = std::string;

static_assert(kNoneIsAggregate<Task<>, Task<int>, Task<Text>::Awaiter, Task<>::Awaiter, JoinHandle<>, JoinHandle<Text>>);
static_assert(kNoneIsAggregate<internal::JoinAwaiter<void, true>, internal::JoinAwaiter<void, false>,
                               internal::JoinAwaiter<Text, true>, internal::JoinAwaiter<Text, false>,
                               internal::OwnedJoin<void>, internal::OwnedJoin<Text>, internal::Spawned<Text>>);
static_assert(kNoneIsAggregate<internal::Children, internal::ShieldedWait, internal::MaskedClose,
                               internal::MaskedClose::Awaiter, internal::DeadlineScope, internal::CancelScope>);
static_assert(kNoneIsAggregate<internal::Sleep, internal::SleepAwaiter, internal::Yield, internal::YieldAwaiter, Interval>);
static_assert(kNoneIsAggregate<TaskGroup, LoopHandle, Token, ContextVar<Text>>);
static_assert(kNoneIsAggregate<internal::Result<void>, internal::Result<Text>, internal::Result<Text&>>);
static_assert(kNoneIsAggregate<Buffer, BufferPool, BufferPool::Acquire, IoAlignment, FileStat>);

// What the calls give.
using Fill = bool (*)(internal::Operation&, io_uring_sqe&);
static_assert(kNoneIsAggregate<internal::OperationCall<Fill>, internal::OperationAwaiter<Fill>>);
static_assert(kNoneIsAggregate<decltype(sleep_for(absl::Duration())), decltype(sleep_until(absl::Time())), decltype(yield())>);

static_assert(kNoneIsAggregate<Signal, SignalSet, Process, ExitStatus, ChildStream, SpliceSource, SpliceTarget>);
static_assert(kAllOwnNothing<LoopOptions, LoopStats, TaskGroupOptions, ProcessOptions, BufferPoolOptions, BufferPoolStats>);

// No place in which a task waits is copied or moved: its address is known to others. See Suspension.
template <class... T>
constexpr bool kNoneIsCopied = ((!std::is_copy_constructible_v<T> && !std::is_move_constructible_v<T>) && ...);
template <class... T>
constexpr bool kAllAreSuspensions = (std::is_base_of_v<internal::Suspension, T> && ...);

static_assert(kNoneIsCopied<internal::JoinAwaiter<Text, true>, internal::OperationAwaiter<Fill>, internal::SleepAwaiter,
                            internal::Children, internal::ShieldedWait, internal::RemoteCall>);
static_assert(kAllAreSuspensions<Event::Wait::Awaiter, Mutex::Lock::Awaiter, Semaphore::Acquire::Awaiter,
                                 Queue<Text>::Push::Awaiter, Queue<Text>::Pop::Awaiter>);
static_assert(kNoneIsCopied<Event::Wait::Awaiter, Mutex::Lock::Awaiter, Semaphore::Acquire::Awaiter,
                            Queue<Text>::Push::Awaiter, Queue<Text>::Pop::Awaiter>);

// What users hold of them is.
static_assert(std::is_move_constructible_v<Event::Wait> && std::is_move_constructible_v<Mutex::Lock> &&
              std::is_move_constructible_v<Semaphore::Acquire> && std::is_move_constructible_v<Queue<Text>::Push>);
static_assert(kNoneIsAggregate<Event::Wait, Mutex::Lock, Semaphore::Acquire, Queue<Text>::Push, Queue<Text>::Pop>);

TEST(AggregatesTest, AreCheckedByTheCompiler) { SUCCEED(); }

}  // namespace
}  // namespace weir
