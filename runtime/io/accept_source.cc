#include "weir/runtime/io/accept_source.h"

#include <sys/socket.h>

#include <cerrno>
#include <coroutine>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/io/socket_stream.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir::internal {

void Listening::own_path(std::string path) {
  if (path.empty() || kernel().identify(path.c_str(), &identity_) < 0) return;
  path_ = std::move(path);
  process_ = kernel().process();
}

void Listening::remove_path() noexcept {
  FileIdentity now;
  if (path_.empty() || kernel().process() != process_) return;
  if (kernel().identify(path_.c_str(), &now) >= 0 && now == identity_) kernel().unlink(path_.c_str());
  path_.clear();
}

absl::Status Listening::failed(int result) const {
  // A request that a worker of the kernel had begun says EINTR when close() interrupts it.
  return errno_status(closing() && result == -EINTR ? ECANCELED : -result, absl::StrCat("accept ", address_.to_string()));
}

Task<absl::StatusOr<OwnedDescriptor>> accept_from(ListeningRef listening) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const raw = reinterpret_cast<sockaddr*>(&storage);
  for (;;) {
    size = sizeof storage;
    const int fd = co_await descriptor_operation(*listening, [raw, &size](io_uring_sqe* sqe, int listener) noexcept {
      io_uring_prep_accept(sqe, listener, raw, &size, SOCK_CLOEXEC);
    });
    if (fd >= 0) {
      co_return make_connection(fd, listening->kernel(), SocketAddress::from_sockaddr(raw, size).value_or(SocketAddress()));
    }
    // A connection that was gone again before it could be taken is no news of the listener's.
    if (fd != -ECONNABORTED) co_return listening->failed(fd);
  }
}

// The multishot accept. Idle, or armed: in flight until its terminal completion.
class AcceptSource::Request final : public Operation {
 public:
  explicit Request(ListeningRef held) noexcept : Operation(Waits::kForPeer), listening_(std::move(held)) {}
  ~Request() { close_untaken(); }

  Listening& listening() const noexcept { return *listening_; }
  const ListeningRef& reference() const noexcept { return listening_; }

  // A descriptor, or a negative errno; with `stop`, waits until nothing is in flight, whatever comes meanwhile.
  class Wait final : public Suspension {
   public:
    Wait(Request& request, bool stop) noexcept : request_(request), stop_(stop) {}
    bool await_ready() {
      if (stop_) return !request_.armed_;
      Root::current().throw_if_interrupted();
      return false;
    }
    void await_suspend(std::coroutine_handle<> point) noexcept {
      root_ = thread_state.root;
      if (!stop_ && request_.next_ != request_.untaken_.size()) {
        result_ = request_.take();
        root_->engine().yield(*root_, point);  // with the connections of a burst the others get their turn
        return;
      }
      root_->wait(point, *this);
      request_.waiting_ = this;
      if (stop_) {
        request_.Operation::cancel();
      } else if (!request_.armed_) {
        request_.arm(root_->engine());
      }
    }
    int await_resume() {
      if (result_ == -ECANCELED && !stop_ && root_->interrupted()) throw Cancelled();
      return result_;
    }
    void cancel() noexcept override {
      if (!stop_) request_.Operation::cancel();
    }

   private:
    friend class Request;
    Request& request_;
    const bool stop_;
    Root* root_ = nullptr;
    int result_ = 0;
  };

  bool refused() const noexcept { return refused_; }

  void close_untaken() noexcept {
    while (next_ != untaken_.size()) listening_->kernel().close(take());
  }

 private:
  void arm(Engine& engine) noexcept {
    armed_ = true;
    start(engine, *listening_);
  }

  bool fill(io_uring_sqe& entry) noexcept override {
    io_uring_prep_multishot_accept(&entry, listening_->fd(), nullptr, nullptr, SOCK_CLOEXEC);
    return true;
  }

  void more(int fd, unsigned) noexcept override { arrived(fd); }

  void complete() noexcept override {
    armed_ = false;
    const int result = this->result();
    if (result >= 0) arrived(result);
    if (waiting_ == nullptr) return;  // an error that nobody waits for comes again
    const bool stopped = result == -ECANCELED || result == -EINTR;
    if (waiting_->stop_ || listening_->closing() || waiting_->root_->interrupted()) {
      answer(stopped ? -ECANCELED : result);
    } else if (stopped || result == -ECONNABORTED) {
      arm(waiting_->root_->engine());
    } else {
      refused_ = result == -EINVAL;
      answer(result);
    }
  }

  void arrived(int fd) noexcept {
    if (fd < 0) return;
    if (waiting_ != nullptr && !waiting_->stop_) return answer(fd);
    untaken_.push_back(fd);
  }

  void answer(int result) noexcept {
    Wait& waiting = *std::exchange(waiting_, nullptr);
    waiting.result_ = result;
    waiting.root_->ready();
  }

  int take() noexcept {
    const int fd = untaken_[next_++];
    if (next_ == untaken_.size()) {
      untaken_.clear();
      next_ = 0;
    }
    return fd;
  }

  const ListeningRef listening_;
  Wait* waiting_ = nullptr;
  std::vector<int> untaken_;  // from next_ on
  std::size_t next_ = 0;
  bool armed_ = false;
  bool refused_ = false;  // by a kernel that has no multishot accept
};

AcceptSource::AcceptSource(ListeningRef listening) : request_(std::make_unique<Request>(std::move(listening))) {}
AcceptSource::AcceptSource(AcceptSource&&) noexcept = default;
AcceptSource::~AcceptSource() = default;

Task<absl::StatusOr<OwnedDescriptor>> AcceptSource::next() { return next_of(*request_); }

Task<absl::StatusOr<OwnedDescriptor>> AcceptSource::next_of(Request& request) {
  if (!request.refused()) {
    const int fd = co_await Request::Wait(request, false);
    if (fd >= 0) co_return make_connection(fd, request.listening().kernel());
    if (!request.refused()) co_return request.listening().failed(fd);
  }
  co_return co_await accept_from(request.reference());
}

Task<void> AcceptSource::close() { return close_request(*request_); }

Task<void> AcceptSource::close_request(Request& request) {
  (void)co_await Request::Wait(request, true);
  request.close_untaken();
}

}  // namespace weir::internal
