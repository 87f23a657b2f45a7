#include "weir/runtime/loop_handle.h"

#include <cstdio>
#include <cxxabi.h>
#include <memory>
#include <string>
#include <typeinfo>

#include "absl/strings/str_cat.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/loop.h"

namespace weir {
namespace internal {
namespace {

std::string describe(std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (const Cancelled&) {
    return "weir::Cancelled";
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return absl::StrCat("an exception of type ", type != nullptr ? type->name() : "unknown");
  }
}

class PostedFunction final : public InboxNode {
 public:
  PostedFunction(absl::AnyInvocable<void()> function, LoopControl& control) noexcept
      : function_(std::move(function)), control_(control) {}

  void deliver() noexcept override {
    const std::unique_ptr<PostedFunction> self(this);
    try {
      function_();
    } catch (...) {
      control_.report(std::current_exception(), "post");
    }
  }

 private:
  absl::AnyInvocable<void()> function_;
  LoopControl& control_;  // alive: the loop that delivers holds it
};

}  // namespace

LoopControl* LoopControl::create(Kernel& kernel, int& error) {
  const int eventfd = kernel.make_eventfd();
  error = eventfd < 0 ? -eventfd : 0;
  return eventfd < 0 ? nullptr : new LoopControl(kernel, eventfd);
}

LoopControl::~LoopControl() { kernel_.close(eventfd_); }

bool LoopControl::push(InboxNode& node) noexcept {
  switch (inbox_.push(node)) {
    case Inbox::Pushed::kRefused:
      return false;
    case Inbox::Pushed::kOntoSleeper:
      if (on_own_thread()) return true;  // it looks at the inbox before it sleeps
      wakeups_written_.fetch_add(1, std::memory_order_relaxed);  // a statistic
      kernel_.write_eventfd(eventfd_);
      return true;
    case Inbox::Pushed::kQuietly:
      return true;
  }
  return true;
}

void LoopControl::report(std::exception_ptr failure, std::string_view task) const noexcept {
  if (report_ != nullptr && !reports_ended_.load(std::memory_order_acquire)) {  // pairs with end_reports()
    return report_(std::move(failure), task, report_user_);
  }
  const std::string text = describe(std::move(failure));
  std::fprintf(stderr, "weir: unhandled exception in task '%.*s': %s\n", static_cast<int>(task.size()), task.data(),
               text.c_str());
}

void throw_loop_closed(std::string_view what) {
  throw LoopClosed(absl::StrCat(absl::string_view(what.data(), what.size()),
                                ": the loop is going or gone; nothing handed to it runs any more"));
}

}  // namespace internal

LoopHandle::LoopHandle(Loop& loop) : LoopHandle(loop.handle()) {}

LoopHandle LoopHandle::current() {
  if (internal::current_control == nullptr) {
    throw LookupError("LoopHandle::current(): no loop is known on this thread; pass a LoopHandle to it");
  }
  return internal::HandleAccess::make(*internal::current_control);
}

void LoopHandle::post(absl::AnyInvocable<void()> function) const {
  if (!control_->alive()) internal::throw_loop_closed("post");
  auto node = std::make_unique<internal::PostedFunction>(std::move(function), *control_.get());
  if (!control_->push(*node)) internal::throw_loop_closed("post");
  node.release();  // deliver() deletes it
}

}  // namespace weir
