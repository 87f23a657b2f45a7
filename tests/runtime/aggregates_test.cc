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

// What the calls give.
using Fill = bool (*)(internal::Operation&, io_uring_sqe&);
static_assert(kNoneIsAggregate<internal::OperationCall<Fill>, internal::OperationAwaiter<Fill>>);
static_assert(kNoneIsAggregate<decltype(sleep_for(absl::Duration())), decltype(sleep_until(absl::Time())), decltype(yield())>);

static_assert(kAllOwnNothing<LoopOptions, LoopStats, TaskGroupOptions>);

TEST(AggregatesTest, AreCheckedByTheCompiler) { SUCCEED(); }

}  // namespace
}  // namespace weir
