#include "weir/runtime/io/pipe.h"

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "weir/runtime/io/socket_stream.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/status.h"

namespace weir {
namespace internal {
namespace {

using EndRef = DescriptorRef<Descriptor>;

constexpr uint64_t kNoOffset = ~uint64_t{0};  // where the file stands, as read(2)

absl::Status failed(const Descriptor& end, int result, std::string_view what) {
  return errno_status(end.closing() && result == -EINTR ? ECANCELED : -result, what);
}

auto read_request(Descriptor& end, absl::Span<std::byte> data) {
  return descriptor_operation(end, [data](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_read(sqe, fd, data.data(), transfer_size(data.size()), kNoOffset);
  });
}

auto write_request(Descriptor& end, absl::Span<const std::byte> data) {
  return descriptor_operation(end, [data](io_uring_sqe* sqe, int fd) noexcept {
    io_uring_prep_write(sqe, fd, data.data(), transfer_size(data.size()), kNoOffset);
  });
}

// The kernel raises SIGPIPE on the thread that runs the request, which may be the loop's: it is blocked there from the
// first write to a pipe on, and the one that an EPIPE has left is taken away.
class SigpipeBlocked {
 public:
  explicit SigpipeBlocked(Kernel& kernel) noexcept : kernel_(kernel) {
    static thread_local bool blocked = false;
    if (!blocked) kernel.block_sigpipe();
    blocked = true;
  }
  void done(int result) noexcept {
    if (result == -EPIPE) kernel_.drop_sigpipe();
  }

 private:
  Kernel& kernel_;
};

Task<absl::StatusOr<std::size_t>> read_some(EndRef end, absl::Span<std::byte> data) {
  const int result = co_await read_request(*end, data);
  if (result < 0) co_return failed(*end, result, "read pipe");
  co_return static_cast<std::size_t>(result);
}

Task<absl::Status> read_whole(EndRef end, absl::Span<std::byte> data) {
  std::size_t done = 0;
  while (done < data.size()) {
    const int result = co_await read_request(*end, data.subspan(done));
    if (result < 0) co_return failed(*end, result, "read pipe");
    if (result == 0) {
      co_return absl::OutOfRangeError(absl::StrCat("read pipe: end of pipe after ", done, " of ", data.size(), " bytes"));
    }
    done += static_cast<std::size_t>(result);
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<std::size_t>> write_some(EndRef end, absl::Span<const std::byte> data) {
  if (data.empty()) co_return std::size_t{0};
  SigpipeBlocked sigpipe(end->kernel());
  const int result = co_await write_request(*end, data);
  sigpipe.done(result);
  if (result < 0) co_return failed(*end, result, "write pipe");
  co_return static_cast<std::size_t>(result);
}

Task<absl::Status> write_whole(EndRef end, absl::Span<const std::byte> data) {
  SigpipeBlocked sigpipe(end->kernel());
  while (!data.empty()) {
    const int result = co_await write_request(*end, data);
    sigpipe.done(result);
    if (result < 0) co_return failed(*end, result, "write pipe");
    data.remove_prefix(static_cast<std::size_t>(result));
  }
  co_return absl::OkStatus();
}

}  // namespace

PipeEnd::PipeEnd(int fd) : descriptor_(fd, Descriptor::Kind::kPeer) { make_blocking(fd, current_kernel()); }

}  // namespace internal

Task<absl::StatusOr<std::size_t>> PipeReader::read(absl::Span<std::byte> data) { return internal::read_some(held("PipeReader::read"), data); }
Task<absl::Status> PipeReader::read_exact(absl::Span<std::byte> data) { return internal::read_whole(held("PipeReader::read_exact"), data); }
Task<absl::StatusOr<std::size_t>> PipeWriter::write(absl::Span<const std::byte> data) {
  return internal::write_some(held("PipeWriter::write"), data);
}
Task<absl::Status> PipeWriter::write_all(absl::Span<const std::byte> data) {
  return internal::write_whole(held("PipeWriter::write_all"), data);
}

absl::StatusOr<Pipe> Pipe::create() {
  int fds[2];
  const int result = internal::current_kernel().make_pipe(fds);
  if (result < 0) return internal::errno_status(-result, "pipe");
  return Pipe(PipeReader::from_fd(fds[0]), PipeWriter::from_fd(fds[1]));
}

}  // namespace weir
