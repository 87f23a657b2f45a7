// Loop: one thread, one io_uring, and the coroutines that wait on it.
//
//   auto loop = weir::Loop::create();
//   if (!loop.ok()) …                              // the message says what this machine lacks, and the cure
//   int n = (*loop)->run(answer());                // weir::Task<int> answer()
//
// A Loop belongs for life to the thread of its first run(). Other threads reach it through its LoopHandle.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/runtime/awaitable.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/join.h"
#include "weir/runtime/kernel_support.h"
#include "weir/runtime/loop_handle.h"

namespace weir {

struct LoopOptions {
  unsigned sq_entries = 256;  // submission queue, a power of two is best; a full one is submitted, never an error
  unsigned cq_entries = 0;    // completion queue; 0: 4,096, less where the memlock limit does not allow it
  int cpu = -1;               // pins the loop's thread; -1: not
  unsigned receive_buffer_count = 1024;  // the provided buffer ring behind TcpStream::receive()
  unsigned receive_buffer_size = 4096;   // bytes
  absl::Duration stall_threshold = absl::InfiniteDuration();  // a task that blocks the loop longer is named on stderr
  // Told of each exception that nobody awaits, once, on the thread where it happened; once the loop is gone, and if null, it
  // is one line on stderr. What `user` is outlives the loop and the threads that may just be telling it.
  void (*on_unhandled)(std::exception_ptr, std::string_view task, void* user) noexcept = nullptr;
  void* on_unhandled_user = nullptr;
  // Before the loop sleeps it looks for so long whether something comes. Saves whoever comes in that time a wake-up (some
  // microseconds), and costs the processor: a loop that waits is busy for that long.
  absl::Duration spin = absl::ZeroDuration();
};

// Since the loop was created, but for the last three, which are of this moment.
struct LoopStats {
  uint64_t turns = 0;
  uint64_t enters = 0;              // system calls into the ring
  uint64_t submissions = 0;
  uint64_t completions = 0;
  uint64_t overflows = 0;           // times that completions waited for room in the queue
  uint64_t posts = 0;               // what came through the inbox
  uint64_t wakeups_written = 0;     // writes to the eventfd, made by who found the loop asleep
  uint64_t wakeups_saved = 0;       // posts that needed none
  uint64_t wakeups_spurious = 0;    // wake-ups that found nothing
  uint64_t tasks = 0;               // spawned and not ended
  uint64_t operations = 0;          // started and not ended
  uint64_t timers = 0;              // armed
};

namespace internal {
class Engine;
class Kernel;
class Ring;
struct LoopAccess;
}  // namespace internal

class Loop {
 public:
  // Any thread. The error names cause and cure (see kernel_support()).
  static absl::StatusOr<std::unique_ptr<Loop>> create(const LoopOptions& options = {});

  // On the loop's thread, or after that has ended. Posts from now on throw LoopClosed; what runs is cancelled, and the
  // loop turns until it is gone (shields finish); jobs of its pool are waited for; the kernel gives back every buffer.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs an awaitable to its end and gives its result, or rethrows. It starts in a snapshot of this thread's context
  // variables. Again and again on the same thread; nested, or on another thread: std::logic_error. Tasks that were
  // spawned and have not ended stand still between two runs.
  template <class A>
    requires internal::Awaitable<A>
  internal::awaited_t<A> run(A awaitable) {
    const Running running(*this);
    auto handle = weir::spawn(std::move(awaitable), "run");
    auto& state = internal::JoinAccess::state(handle);
    turn_until(state);
    state.observe();
    return state.result.take();
  }

  LoopHandle handle() noexcept;

  // Where blocking work of this loop goes. Not owned: outlives the loop. nullptr: the loop's own pool, made when it is
  // first needed. On the loop's thread, or before the first run.
  void set_default_executor(Executor* executor) noexcept;

  // The loop that runs on this thread; LookupError elsewhere.
  static Loop& current();

  // Any thread: each number is recent, together they are no snapshot.
  LoopStats stats() const;

 private:
  friend struct internal::LoopAccess;

  // This thread runs the loop until the scope ends.
  class Running {
   public:
    explicit Running(Loop& loop);
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running();

   private:
    internal::CurrentLoopScope current_;
  };
  class Owned;

  Loop(std::unique_ptr<internal::Ring> ring, internal::Kernel& kernel, internal::ControlRef control,
       const LoopOptions& options);

  void pin();
  void turn_until(const internal::Root& root);

  const LoopOptions options_;
  std::unique_ptr<internal::Engine> engine_;
  std::unique_ptr<Owned> owned_;  // since the first run
  bool pinned_ = false;           // to options_.cpu
};

namespace internal {

// For the rest of the runtime, the bridge and the tests.
struct LoopAccess {
  static Engine& engine(Loop& loop) noexcept { return *loop.engine_; }
  static const LoopOptions& options(const Loop& loop) noexcept { return loop.options_; }
  // A loop over another ring and kernel.
  static absl::StatusOr<std::unique_ptr<Loop>> create(std::unique_ptr<Ring> ring, Kernel& kernel, const LoopOptions& options);
};

}  // namespace internal
}  // namespace weir
