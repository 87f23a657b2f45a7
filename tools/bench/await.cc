// co_await: a NOP in the kernel, a task that is ready at once, the back of the ready queue, a spawned task.

#include "weir/runtime/context.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/time.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {
namespace {

Task<> await_nops(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) co_await submit(io_uring_prep_nop);
}

Task<> await_nops_side_by_side(uint64_t count) {
  constexpr uint64_t kTasks = 32;
  std::vector<Task<>> tasks;
  for (uint64_t i = 0; i < kTasks; ++i) tasks.push_back(await_nops(count / kTasks + (i < count % kTasks)));
  co_await gather(std::move(tasks));
}

Task<> yield_often(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) co_await yield();
}

Task<> take_turns(uint64_t count) { co_await gather(yield_often(count / 2), yield_often(count - count / 2)); }

[[gnu::noinline]] Task<int> answer(int value) { co_return value; }

Task<> ask(uint64_t count) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) sum += static_cast<uint64_t>(co_await answer(1));
  if (sum != count) throw std::logic_error("a task gave another answer");
}

Task<> spawn_and_join(uint64_t count) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) {
    JoinHandle<int> handle = spawn(answer(1));
    sum += static_cast<uint64_t>(co_await handle);
  }
  if (sum != count) throw std::logic_error("a task gave another answer");
}

Task<> spawn_with_context(uint64_t count) {
  static ContextVar<int> variable("bench");
  const Token token = variable.set(42);
  co_await spawn_and_join(count);
  variable.reset(token);
}

#if defined(__clang__)
constexpr double kTrivialTask_ns = 8;
#else
constexpr double kTrivialTask_ns = 30;
#endif

}  // namespace

void add_await_rows(Rows& rows) {
  rows.push_back({.name = "nop/1", .what = "`co_await` of a NOP, one at a time", .goals = {.ratio = 1.25},
                  .sides = {{"weir", on_loop(await_nops)}, {"raw", raw::nops(1)}}});
  rows.push_back({.name = "nop/32", .what = "NOPs, 32 in flight", .goals = {.ratio = 1.6},
                  .sides = {{"weir", on_loop(await_nops_side_by_side)}, {"raw", raw::nops(32)}}});
  rows.push_back({.name = "yield", .what = "`yield()`, ready to ready", .goals = {.value = 5},
                  .sides = {{"weir", on_loop(take_turns)}, {"raw", raw::yields()}}});
  rows.push_back({.name = "task", .what = "`co_await` of a trivial task", .goals = {.value = kTrivialTask_ns},
                  .sides = {{"weir", on_loop(ask)}, {"raw", raw::tasks()}}});
  rows.push_back({.name = "spawn", .what = "`spawn()` and join a trivial task", .goals = {.value = 25},
                  .sides = {{"weir", on_loop(spawn_and_join)}}});
  rows.push_back({.name = "spawn/context", .what = "the same, with context variables to snapshot", .goals = {.value = 45},
                  .sides = {{"weir", on_loop(spawn_with_context)}}});
}

}  // namespace weir::bench
