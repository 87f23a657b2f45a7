// The root of a chain of tasks: what spawn() makes and the loop runs.
//
// A root is where scheduling and cancellation live; the tasks below it (each awaited by the one above) know nothing of
// either. At any moment a root is in one of these states:
//
//   ready      in the loop's ready queue, resume point set
//   running    Root::current()
//   waiting    suspended in a Suspension (an operation, a timer, a join ...), which calls ready() exactly once
//   done       its result is stored; it lives on as long as a handle refers to it
//
// Everything here is called on the loop's thread.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <string_view>
#include <utility>

#include "weir/runtime/context.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/intrusive_list.h"

namespace weir {
class Loop;
}

namespace weir::internal {

class Engine;
class Root;

// What this thread does for a loop at this moment.
struct ThreadState {
  Engine* engine = nullptr;      // the loop that runs on this thread
  Loop* loop = nullptr;          // the same, as its users know it
  Root* root = nullptr;          // the root that runs now
  std::coroutine_handle<> next;  // where control goes when the coroutine that runs now has returned (transfer_to)
};
inline constinit thread_local ThreadState thread_state;

// Handing control from one coroutine to the next in constant stack. clang makes symmetric transfer a tail call in every
// configuration; g++ only at -O2 without sanitizers, so there the next coroutine is named and Root::run() goes on with it.
#if defined(__clang__)
using Transfer = std::coroutine_handle<>;
inline Transfer transfer_to(std::coroutine_handle<> next) noexcept { return next; }
#else
using Transfer = void;
inline void transfer_to(std::coroutine_handle<> next) noexcept { thread_state.next = next; }
#endif

// A place where a root waits. It neither moves nor is copied: its address is known to the root and to what it waits for.
// What users hold and await (wait(), lock(), a handle) is therefore never a Suspension itself but makes one, in place, by
// its operator co_await; g++ 12 also copies an awaiter that it finds behind a lambda's captured reference.
class Suspension {
 public:
  Suspension(const Suspension&) = delete;
  Suspension& operator=(const Suspension&) = delete;

  // The root is interrupted while it waits here. The suspension still has to call ready(): at once, or when what it
  // waits for has let go (an operation: after its terminal completion). Called at most once a wait.
  virtual void cancel() noexcept = 0;

 protected:
  Suspension() = default;
  ~Suspension() = default;
};

// Part of a root's work that can be cancelled without the rest (timeout), or that hides an outer cancel from what runs
// inside (the close of `with`). Lives in a coroutine's frame; scopes of a root nest.
//
// Masks cut the nest into levels: the root's own, and one for each mask. Each level counts the cancels that are seen in
// it (of the root, of its mask, of scopes that lie in it), and a root is interrupted when its innermost level counts any.
// So everything here takes constant time, however deep the scopes nest.
class CancelScope {
 public:
  enum class Kind { kOpen, kMask };

  CancelScope(Root& root, Kind kind) noexcept;
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;
  ~CancelScope();

  // Interrupts what runs inside.
  void cancel() noexcept;
  bool cancelled() const noexcept { return cancelled_; }

  // Whether somebody outside this scope wants the work to end. Asked only when all scopes inside it have ended.
  bool outer_interrupted() const noexcept;

 private:
  friend class Root;
  unsigned& own_level() noexcept { return kind_ == Kind::kMask ? level_ : outer_level_; }

  Root& root_;
  unsigned& outer_level_;  // the count of the level around it
  unsigned level_ = 0;     // of a mask: the count of the level that it opens
  const Kind kind_;
  bool cancelled_ = false;
};

// Told when a root has ended.
class DoneListener {
 public:
  virtual void root_done(Root& root) noexcept = 0;

 protected:
  ~DoneListener() = default;

 private:
  friend class Root;
  DoneListener* previous_ = nullptr;
  DoneListener* following_ = nullptr;
};

class Root {
 public:
  // The root that runs now. LookupError outside a loop's tasks.
  static Root& current() {
    Root* const root = thread_state.root;
    if (root == nullptr) [[unlikely]] throw_outside();
    return *root;
  }

  // To be called by an awaiter's await_suspend: the root waits in `place` until ready(), then goes on at `point`.
  void wait(std::coroutine_handle<> point, Suspension& place) noexcept {
    resume_point_ = point;
    place_ = &place;
  }

  // To the back of the ready queue.
  void ready() noexcept;

  // Wants this root to end: a state, it stays. No effect on a root that is done.
  void cancel() noexcept;

  bool cancelled() const noexcept { return cancelled_; }  // somebody called cancel()
  bool done() const noexcept { return done_; }

  // Finishes although the loop is going: inside shield(), or the close of `with`, and what those spawn.
  bool shielded() const noexcept { return shielded_; }

  // Whether a co_await must throw Cancelled now: a cancel, of the root or of a scope, that no mask hides.
  bool interrupted() const noexcept { return interrupted_; }
  void throw_if_interrupted() const {
    if (interrupted_) [[unlikely]] throw_cancelled();
  }

  // `listener` is told when this root has ended; only before that. Listeners are told in the order of listening.
  // Constant time, however many listen.
  void listen(DoneListener& listener) noexcept;
  void unlisten(DoneListener& listener) noexcept;

  std::string_view name() const noexcept { return name_ == nullptr ? std::string_view() : std::string_view(name_); }
  Engine& engine() const noexcept { return *engine_; }
  Context& context() noexcept { return context_; }

  // The loop: resumes the root until it waits again, yields or is done.
  void run();

 protected:
  Root() = default;
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  ~Root() {
    if (name_ != nullptr) [[unlikely]] delete[] name_;
  }

  // Inline in engine.h. Enters the loop's list and its ready queue, with a snapshot of the caller's context. A cancel that
  // comes before the first turn is told to `before_start`, which does not call ready() but may skip_to_end(); null: the
  // coroutine asks throw_if_interrupted().
  void start(Engine& engine, std::coroutine_handle<> entry, Suspension* before_start, std::string_view name, bool shielded);

  // The coroutine that calls ended() for the root that runs: what a Task goes on with at its end if nobody awaits it.
  std::coroutine_handle<> root_end() const noexcept;
  void skip_to_end() noexcept { resume_point_ = root_end(); }
  virtual void ended() noexcept = 0;

  // Inline in engine.h. The coroutine has ended, its result is stored: leaves the list, tells the listeners.
  void finish() noexcept;

 private:
  friend class CancelScope;
  friend class Engine;
  friend class RootEnd;

  [[noreturn]] static void throw_cancelled();
  [[noreturn]] static void throw_outside();
  void set_name(std::string_view name);
  bool masked() const noexcept { return level_ != &cancels_; }
  void refresh() noexcept;  // after a level's count, or the innermost level, has changed
  void tell_place() noexcept;

  Engine* engine_ = nullptr;
  Root* next_ready_ = nullptr;
  Root* next_told_ = nullptr;        // in the list of tell_place()
  std::coroutine_handle<> resume_point_;
  Suspension* place_ = nullptr;      // only while waiting, or before the start, and not yet told of a cancel
  unsigned* level_ = &cancels_;      // the count of the innermost level, see CancelScope
  IntrusiveList<DoneListener, &DoneListener::previous_, &DoneListener::following_> listeners_;
  Root* previous_ = nullptr;         // the loop's list of live roots
  Root* following_ = nullptr;
  char* name_ = nullptr;             // owned; null when the task has no name
  Context context_;
  unsigned cancels_ = 0;             // of the root's own level
  bool cancelled_ = false;
  bool interrupted_ = false;
  bool done_ = false;
  bool shielded_ = false;
};

inline void Root::run() {
  ThreadState& state = thread_state;
  Context* const context = Context::exchange_current(&context_);
  state.root = this;
  place_ = nullptr;
  std::coroutine_handle<> point = std::exchange(resume_point_, nullptr);
  do {
    state.next = nullptr;
    point.resume();  // may end in the root's destruction: *this is not touched afterwards
    point = state.next;
  } while (point);
  state.root = nullptr;
  Context::exchange_current(context);
}

// One coroutine a loop, never at its end itself: see Root::root_end().
class RootEnd {
 public:
  RootEnd();
  RootEnd(const RootEnd&) = delete;
  RootEnd& operator=(const RootEnd&) = delete;
  ~RootEnd() { frame_.destroy(); }
  std::coroutine_handle<> handle() const noexcept { return frame_; }

 private:
  class Coroutine;
  static Coroutine body();

  std::coroutine_handle<> frame_;
};

// Lets go of the root that runs now and goes on behind all that are ready.
class YieldAwaiter {
 public:
  YieldAwaiter() = default;
  bool await_ready() const {
    Root::current().throw_if_interrupted();
    return false;
  }
  void await_suspend(std::coroutine_handle<> point) noexcept;
  void await_resume() const noexcept {}
};

}  // namespace weir::internal
