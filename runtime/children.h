// Waiting for several tasks of which one decides the fate of the others: what gather() and race() share.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <span>

#include "weir/runtime/join.h"

namespace weir::internal {

// Awaited once. Ends when all have ended; a cancel of who waits cancels them all.
class Children final : public Suspension {
 public:
  enum class Until {
    kAllSucceed,   // the first failure cancels the others
    kFirstEnds,    // the first to end, in whatever way, cancels the others
  };
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  Children(std::span<JoinStateBase* const> states, Until until);
  ~Children();

  bool await_ready() const noexcept { return left_ == 0; }
  void await_suspend(std::coroutine_handle<> point) noexcept;
  void await_resume() const noexcept {}

  // Who decided: the first that failed, or that ended; kNone when nobody did.
  std::size_t decider() const noexcept { return decider_; }

  // After the wait: takes note of all failures. Those that are nobody's wish and not the decider's go to on_unhandled.
  // Throws the decider's failure, or Cancelled when the waiting task was interrupted and a child was cut short by it.
  void settle() const;

 private:
  class Child final : public DoneListener {
   public:
    void root_done(Root& root) noexcept override;
    Children* owner = nullptr;
    JoinStateBase* state = nullptr;
  };

  void cancel() noexcept override;
  void ended(Child& child) noexcept;

  const std::size_t count_;
  const std::unique_ptr<Child[]> children_;
  const Until until_;
  std::size_t left_ = 0;
  std::size_t decider_ = kNone;
  Root* root_ = nullptr;
};

}  // namespace weir::internal
