// A file descriptor, and the operations that hold it.
//
// An operation holds its descriptor: the number goes back to the kernel only after the terminal completion of the last
// one, so that it is never reused under an operation in flight. Closing, and dropping the owner, cancel what is queued or
// in flight; such operations end with ECANCELED (kCancelled).
//
// Threads: its operations run on one loop at a time; another loop may take it over while none is in flight. The owner may
// be dropped on any thread.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "weir/runtime/intrusive_list.h"
#include "weir/runtime/loop_handle.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/task.h"

namespace weir::internal {

class Descriptor {
 public:
  // Whether operations on it end by themselves, or may wait for a peer for ever (see Operation::Waits).
  enum class Kind { kDevice, kPeer };

  // Takes over `fd`. Counted from 1.
  static Descriptor* create(int fd, Kind kind, Kernel& kernel);

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }  // the caller holds one
  void release() noexcept {
    // acq_rel, with itself: whoever closes sees all that the others did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  int fd() const noexcept { return fd_; }
  Kind kind() const noexcept { return kind_; }
  Kernel& kernel() const noexcept { return kernel_; }
  bool closing() const noexcept { return closing_; }
  bool idle() const noexcept { return operations_.empty(); }

  // The owner goes, on any thread: cancels the operations, and the last of them closes.
  void abandon() noexcept;

  // The owner closes, on the loop. Not interrupted by a cancel: the operations end soon.
  Task<absl::Status> close(std::string_view what);

  // The number, for the caller to keep; the descriptor forgets it. std::logic_error while operations are in flight.
  int give_up();

 protected:
  // What derives from it (an open file, a connection) lives as long as an operation, or a coroutine, refers to it.
  Descriptor(int fd, Kind kind, Kernel& kernel) noexcept : kernel_(kernel), fd_(fd), kind_(kind) {}
  virtual ~Descriptor();

  // It is being closed, its operations are cancelled: whoever waits for anything else on it must not wait any longer.
  virtual void closing_now() noexcept {}

 private:
  friend class Submissions;
  class Drained;
  class Abandoned;

  // Submissions: an operation starts (false: closed), or has ended.
  bool begin(Operation& operation) noexcept;
  void end(Operation& operation) noexcept;

  void cancel_all() noexcept;

  Kernel& kernel_;
  ControlRef control_;  // of the loop that used it last
  IntrusiveList<Operation, &Operation::previous_on_descriptor_, &Operation::following_on_descriptor_> operations_;
  Drained* drained_ = nullptr;  // close() waits here
  std::atomic<int> references_{1};
  int fd_;
  const Kind kind_;
  bool closing_ = false;
};

// The kernel of the loop that runs on this thread, or the system's own where none runs.
Kernel& current_kernel() noexcept;

// A reference that a coroutine keeps, so that what it reports an error of is there, whatever became of the owner.
template <class T>
class DescriptorRef {
 public:
  explicit DescriptorRef(T& descriptor) noexcept : descriptor_(&descriptor) { descriptor.retain(); }
  DescriptorRef(const DescriptorRef& other) noexcept : DescriptorRef(*other) {}
  DescriptorRef(DescriptorRef&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  DescriptorRef& operator=(const DescriptorRef&) = delete;
  ~DescriptorRef() {
    if (descriptor_ != nullptr) descriptor_->release();
  }
  T& operator*() const noexcept { return *descriptor_; }
  T* operator->() const noexcept { return descriptor_; }

 private:
  T* descriptor_;
};

// The owner's reference: a member of File, TcpStream and the like.
class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  OwnedDescriptor(int fd, Descriptor::Kind kind);
  explicit OwnedDescriptor(Descriptor* adopted) noexcept : descriptor_(adopted) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    const OwnedDescriptor old(std::move(*this));
    descriptor_ = std::exchange(other.descriptor_, nullptr);
    return *this;
  }
  ~OwnedDescriptor() {
    if (descriptor_ != nullptr) descriptor_->abandon();
  }

  // std::logic_error, naming `what`, when it was moved from or closed.
  Descriptor& get(std::string_view what) const {
    if (descriptor_ == nullptr) [[unlikely]] throw_no_descriptor(what);
    return *descriptor_;
  }
  Descriptor* get_or_null() const noexcept { return descriptor_; }
  int fd() const noexcept { return descriptor_ == nullptr ? -1 : descriptor_->fd(); }

  // Idempotent: closing what is closed is OK.
  Task<absl::Status> close(std::string what);
  int release();

 private:
  [[noreturn]] static void throw_no_descriptor(std::string_view what);

  Descriptor* descriptor_ = nullptr;
};

// An operation on a descriptor, to be awaited; `fill(io_uring_sqe*, int fd)` prepares the entry.
template <class Fill>
auto descriptor_operation(Descriptor& descriptor, Fill fill) {
  static_assert(std::is_trivially_destructible_v<Fill>, "capture by reference, or numbers and pointers");
  const auto filled = [fill, &descriptor](Operation&, io_uring_sqe& entry) noexcept {
    fill(&entry, descriptor.fd());
    return true;
  };
  return OperationCall(descriptor.kind() == Descriptor::Kind::kPeer, &descriptor, filled);
}

// An operation without a descriptor that ends by itself (close, rename ...).
template <class Fill>
auto plain_operation(Fill fill, bool waits_for_peer = false) {
  static_assert(std::is_trivially_destructible_v<Fill>, "capture by reference, or numbers and pointers");
  const auto filled = [fill](Operation&, io_uring_sqe& entry) noexcept {
    fill(&entry);
    return true;
  };
  return OperationCall(waits_for_peer, nullptr, filled);
}

// The same for one that may wait for a peer (the opening of a FIFO, a poll of somebody else's descriptor).
template <class Fill>
auto peer_operation(Fill fill) {
  return internal::plain_operation(fill, true);
}

}  // namespace weir::internal
