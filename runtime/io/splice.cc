#include "weir/runtime/io/splice.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/kernel.h"
#include "weir/runtime/status.h"

namespace weir {
namespace internal {
namespace {

constexpr std::size_t kStep = 64 << 10;  // what a pipe holds
constexpr int64_t kNoOffset = -1;        // where it stands

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

// Bytes of a request, or its errno as a negative number.
using Moved = Task<int>;

}  // namespace

// The descriptors behind the ends.
struct DescriptorAccess {
  template <class End>
  static DescriptorRef<Descriptor> of(const End& end) {
    return DescriptorRef<Descriptor>(end.descriptor_.get("splice"));
  }
};

// One splice(): source -> a pipe of its own -> target, so that each request holds one end, which may be closed under it.
class Splicing {
 public:
  Splicing(SpliceSource from, SpliceTarget to, Pipe pipe)
      : from_(from),
        to_(to),
        source_(descriptor_of(from.end_)),
        target_(descriptor_of(to.end_)),
        pipe_(std::move(pipe)),
        what_(absl::StrCat("splice from ", name_of(from.end_), " to ", name_of(to.end_))) {
    const bool missing = !Root::current().engine().ring().supports(IORING_OP_SPLICE);
    copying_ = missing || std::holds_alternative<SocketStream*>(from.end_);
  }

  // Up to `size` bytes; 0 at the end.
  Task<absl::StatusOr<std::size_t>> step(std::size_t size) {
    if (!copying_) {
      const int taken = co_await take(size);
      if (taken == -EINVAL) {
        copying_ = true;
      } else if (taken < 0) {
        co_return errno_status(-taken, what_);
      } else {
        absl::Status passed = co_await pass_on(static_cast<std::size_t>(taken));
        if (!passed.ok()) co_return passed;
        co_return static_cast<std::size_t>(taken);
      }
    }
    const absl::StatusOr<std::size_t> count = co_await read(size);
    if (!count.ok()) co_return count.status();
    absl::Status written = co_await write(*count);
    if (!written.ok()) co_return written;
    co_return *count;
  }

 private:
  template <class Ends>
  static std::string name_of(const Ends& end) {
    return std::visit(Overloaded{[](SocketStream* stream) { return stream->peer_address().to_string(); },
                                 [](const FileAt& at) { return absl::StrCat("file at ", at.offset); },
                                 [](auto*) { return std::string("pipe"); }},
                      end);
  }

  template <class Ends>
  static DescriptorRef<Descriptor> descriptor_of(const Ends& end) {
    return std::visit(Overloaded{[](const FileAt& at) { return DescriptorAccess::of(*at.file); },
                                 [](auto* stream) { return DescriptorAccess::of(*stream); }},
                      end);
  }

  template <class Ends>
  static int64_t offset_of(const Ends& end) {
    const FileAt* const at = std::get_if<FileAt>(&end);
    return at == nullptr ? kNoOffset : static_cast<int64_t>(at->offset);
  }

  template <class Ends>
  static void advance(Ends& end, std::size_t count) {
    if (FileAt* const at = std::get_if<FileAt>(&end)) at->offset += count;
  }

  // Source -> own pipe, which is empty.
  Moved take(std::size_t size) {
    if (source_->kind() == Descriptor::Kind::kPeer) {  // no worker of the kernel waits for the peer
      const int events = co_await descriptor_operation(
          *source_, [](io_uring_sqe* sqe, int fd) noexcept { io_uring_prep_poll_add(sqe, fd, POLLIN); });
      if (events < 0) co_return events;
    }
    const int own = pipe_.writer.fd();
    const int64_t offset = offset_of(from_.end_);
    const auto length = static_cast<unsigned>(size);
    const int taken = co_await descriptor_operation(*source_, [own, offset, length](io_uring_sqe* sqe, int fd) noexcept {
      io_uring_prep_splice(sqe, fd, offset, own, kNoOffset, length, 0);
    });
    if (taken > 0) advance(from_.end_, static_cast<std::size_t>(taken));
    co_return taken == -EINTR && source_->closing() ? -ECANCELED : taken;
  }

  // Own pipe -> target, all that is in it.
  Task<absl::Status> pass_on(std::size_t size) {
    while (size != 0) {
      const int own = pipe_.reader.fd();
      const int64_t offset = offset_of(to_.end_);
      const auto length = static_cast<unsigned>(size);
      const int passed = co_await descriptor_operation(*target_, [own, offset, length](io_uring_sqe* sqe, int fd) noexcept {
        io_uring_prep_splice(sqe, own, kNoOffset, fd, offset, length, 0);
      });
      if (passed == -EINVAL) {
        copying_ = true;
        co_return co_await copy_rest(size);
      }
      if (passed <= 0) {
        const int error = passed == 0 ? EIO : target_->closing() && passed == -EINTR ? ECANCELED : -passed;
        co_return errno_status(error, what_);
      }
      advance(to_.end_, static_cast<std::size_t>(passed));
      size -= static_cast<std::size_t>(passed);
    }
    co_return absl::OkStatus();
  }

  Task<absl::Status> copy_rest(std::size_t size) {
    absl::Status read = co_await pipe_.reader.read_exact(buffer(size));
    if (!read.ok()) co_return read;
    co_return co_await write(size);
  }

  Task<absl::StatusOr<std::size_t>> read(std::size_t size) {
    if (source_->closing()) co_return errno_status(ECANCELED, what_);
    const absl::Span<std::byte> space = buffer(size);
    Task<absl::StatusOr<std::size_t>> reading =
        std::visit(Overloaded{[&](const FileAt& at) { return at.file->read_at(space, at.offset); },
                              [&](auto* stream) { return stream->read(space); }},
                   from_.end_);
    absl::StatusOr<std::size_t> count = co_await std::move(reading);
    if (count.ok()) advance(from_.end_, *count);
    co_return count;
  }

  // The first bytes of the buffer.
  Task<absl::Status> write(std::size_t size) {
    if (target_->closing()) co_return errno_status(ECANCELED, what_);
    const absl::Span<const std::byte> bytes(buffer(size));
    Task<absl::Status> writing = std::visit(Overloaded{[&](const FileAt& at) { return at.file->write_all_at(bytes, at.offset); },
                                                       [&](auto* stream) { return stream->write_all(bytes); }},
                                            to_.end_);
    absl::Status written = co_await std::move(writing);
    if (written.ok()) advance(to_.end_, size);
    co_return written;
  }

  absl::Span<std::byte> buffer(std::size_t size) {
    if (buffer_ == nullptr) buffer_ = std::make_unique<std::byte[]>(kStep);
    return {buffer_.get(), size};
  }

  SpliceSource from_;
  SpliceTarget to_;
  const DescriptorRef<Descriptor> source_;
  const DescriptorRef<Descriptor> target_;
  Pipe pipe_;
  const std::string what_;
  std::unique_ptr<std::byte[]> buffer_;
  bool copying_ = false;
};

}  // namespace internal

Task<absl::StatusOr<uint64_t>> splice(SpliceSource from, SpliceTarget to, uint64_t count) {
  absl::StatusOr<Pipe> pipe = Pipe::create();
  if (!pipe.ok()) co_return pipe.status();
  internal::Splicing splicing(from, to, *std::move(pipe));
  uint64_t done = 0;
  while (done < count) {
    const absl::StatusOr<std::size_t> moved = co_await splicing.step(static_cast<std::size_t>(std::min<uint64_t>(count - done, internal::kStep)));
    if (!moved.ok()) co_return moved.status();
    if (*moved == 0) break;
    done += *moved;
  }
  co_return done;
}

Task<absl::StatusOr<uint64_t>> send_file(internal::SocketStream& to, const File& from, uint64_t offset, uint64_t count) {
  return splice(SpliceSource(from, offset), SpliceTarget(to), count);
}

}  // namespace weir
