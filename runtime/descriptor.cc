#include "weir/runtime/descriptor.h"

#include <cerrno>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/status.h"

namespace weir::internal {

// close() until the last operation has ended. A cancel does not shorten it: operations that were cancelled end soon.
class Descriptor::Drained final : public Suspension {
 public:
  explicit Drained(Descriptor& descriptor) noexcept : descriptor_(descriptor) {}
  bool await_ready() const noexcept { return descriptor_.operations_.empty(); }
  void await_suspend(std::coroutine_handle<> point) noexcept {
    root_ = thread_state.root;
    descriptor_.drained_ = this;
    root_->wait(point, *this);
  }
  void await_resume() const noexcept {}
  void cancel() noexcept override {}
  void wake() noexcept { root_->ready(); }

 private:
  Descriptor& descriptor_;
  Root* root_ = nullptr;
};

// An owner that was dropped on a foreign thread, on its way to the loop.
class Descriptor::Abandoned final : public InboxNode {
 public:
  explicit Abandoned(Descriptor& descriptor) noexcept : descriptor_(descriptor) {}
  void deliver() noexcept override {
    descriptor_.cancel_all();
    descriptor_.release();
    delete this;
  }

 private:
  Descriptor& descriptor_;
};

Descriptor* Descriptor::create(int fd, Kind kind, Kernel& kernel) { return new Descriptor(fd, kind, kernel); }

Descriptor::~Descriptor() {
  if (fd_ >= 0) kernel_.close(fd_);
}

bool Descriptor::begin(Operation& operation) noexcept {
  if (closing_) return false;
  if (LoopControl* control = &operation.engine_->control(); control_.get() != control) {
    control_ = ControlRef::share(control);  // the first loop, or the next one after a hand-over
  }
  retain();
  operations_.push_back(operation);
  return true;
}

void Descriptor::end(Operation& operation) noexcept {
  operations_.remove(operation);
  if (operations_.empty() && drained_ != nullptr) std::exchange(drained_, nullptr)->wake();
  release();
}

void Descriptor::cancel_all() noexcept {
  closing_ = true;
  // A cancel may end a queued operation at once, and so take it out of the list.
  for (Operation* operation = operations_.first(); operation != nullptr;) {
    Operation* const following = decltype(operations_)::after(*operation);
    operation->cancel();
    operation = following;
  }
  closing_now();
}

void Descriptor::abandon() noexcept {
  const bool here = !control_ || (thread_state.engine != nullptr && &thread_state.engine->control() == control_.get());
  if (!here) {
    const ControlRef control = control_;  // the node may be delivered, and this descriptor gone, within push()
    auto* node = new Abandoned(*this);
    if (control->push(*node)) return;
    delete node;  // the loop is gone, and with it every operation
  }
  cancel_all();
  release();
}

Task<absl::Status> Descriptor::close(std::string_view what) {
  const CancelScope mask(Root::current(), CancelScope::Kind::kMask);
  cancel_all();
  co_await Drained(*this);
  const int fd = std::exchange(fd_, -1);
  if (fd < 0) co_return absl::OkStatus();
  const int result = co_await plain_operation([fd](io_uring_sqe* sqe) noexcept { io_uring_prep_close(sqe, fd); });
  if (result < 0) co_return errno_status(-result, what);
  co_return absl::OkStatus();
}

int Descriptor::give_up() {
  if (!idle()) throw std::logic_error("release(): operations on this descriptor are in flight; wait for them or cancel them first");
  return std::exchange(fd_, -1);
}

Kernel& current_kernel() noexcept {
  return thread_state.engine != nullptr ? thread_state.engine->kernel() : Kernel::system();
}

OwnedDescriptor::OwnedDescriptor(int fd, Descriptor::Kind kind)
    : descriptor_(Descriptor::create(fd, kind, current_kernel())) {}

namespace {

Task<absl::Status> close_owned(OwnedDescriptor owned, std::string what) {
  Descriptor* const descriptor = owned.get_or_null();
  if (descriptor == nullptr) co_return absl::OkStatus();
  co_return co_await descriptor->close(what);
}

}  // namespace

Task<absl::Status> OwnedDescriptor::close(std::string what) { return close_owned(std::move(*this), std::move(what)); }

int OwnedDescriptor::release() {
  if (descriptor_ == nullptr) return -1;
  const int fd = descriptor_->give_up();
  std::exchange(descriptor_, nullptr)->release();
  return fd;
}

void OwnedDescriptor::throw_no_descriptor(std::string_view what) {
  throw std::logic_error(absl::StrCat(absl::string_view(what.data(), what.size()), ": closed, or moved from"));
}

}  // namespace weir::internal
