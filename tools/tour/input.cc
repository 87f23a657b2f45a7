#include "weir/tools/tour/input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "weir/bridge/sync_await.h"
#include "weir/runtime/operation.h"
#include "weir/runtime/task.h"

namespace tour {
namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;

// On the loop: until `fd` can be read, is at its end, or has failed. The read tells which.
weir::Task<void> readable(int fd) {
  const auto prepare = [fd](io_uring_sqe* entry) { io_uring_prep_poll_add(entry, fd, POLLIN); };
  (void)co_await weir::submit(prepare);
}

}  // namespace

std::string display_name(const std::string& path) { return path == "-" ? "standard input" : path; }

Input::Input(const std::string& path) : name_(display_name(path)) {
  open(path);
  struct stat status;
  if (::fstat(fd_, &status) != 0) fail(errno);
  if (S_ISDIR(status.st_mode)) fail(EISDIR);
  rereadable_ = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
  may_block_ = !rereadable_;
  if (rereadable_) {
    const off_t here = ::lseek(fd_, 0, SEEK_CUR);
    base_ = here < 0 ? 0 : static_cast<uint64_t>(here);
  }
  block_.resize(kBlockBytes);
}

Input::~Input() {
  if (owned_) ::close(fd_);
}

// O_NONBLOCK: opening a named pipe does not wait for its writer; the first read does, by poll().
void Input::open(const std::string& path) {
  if (path == "-") {
    fd_ = STDIN_FILENO;
    return;
  }
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd_ < 0) fail(errno);
  owned_ = true;
}

std::string_view Input::next_part() {
  if (begin_ == end_ && !fill()) return {};
  const std::string_view rest(block_.data() + begin_, end_ - begin_);
  const std::size_t newline = rest.find('\n');
  const std::string_view part = rest.substr(0, newline == rest.npos ? rest.size() : newline + 1);
  part_offset_ = offset_;
  begin_ += part.size();
  offset_ += part.size();
  return part;
}

bool Input::fill() {
  for (;;) {
    if (may_block_) {
      ++waits_;
      weir::sync_await(readable, fd_);
    }
    const ssize_t count = ::read(fd_, block_.data(), block_.size());
    if (count < 0) {
      // EAGAIN: somebody else who reads the same pipe was faster.
      if (errno == EINTR || (errno == EAGAIN && may_block_)) continue;
      fail(errno);
    }
    ++reads_;
    begin_ = 0;
    end_ = static_cast<std::size_t>(count);
    return count != 0;
  }
}

std::string Input::reread(uint64_t offset, std::size_t size) const {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::pread(fd_, bytes.data() + done, size - done, static_cast<off_t>(base_ + offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(errno);
    if (count == 0) throw std::runtime_error("tour: " + name_ + ": became shorter while it was read");
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

void Input::fail(int error) const { throw std::runtime_error("tour: " + name_ + ": " + std::strerror(error)); }

}  // namespace tour
