#include "weir/tools/doctor/file_checks.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weir/runtime.h"

namespace doctor {
namespace {

class AlignedBlock {
 public:
  AlignedBlock(std::size_t alignment, std::size_t size)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(alignment, size))), size_(size) {}
  AlignedBlock(const AlignedBlock&) = delete;
  AlignedBlock& operator=(const AlignedBlock&) = delete;
  ~AlignedBlock() { std::free(memory_); }
  absl::Span<std::byte> bytes() const { return {memory_, size_}; }

 private:
  std::byte* const memory_;
  const std::size_t size_;
};

weir::Task<absl::StatusOr<std::string>> write_and_read(std::string path) {
  absl::StatusOr<weir::File> file = co_await weir::File::open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0600);
  if (!file.ok()) co_return file.status();
  (void)co_await weir::unlink(path);
  const absl::StatusOr<weir::IoAlignment> alignment = co_await file->io_alignment();
  if (!alignment.ok()) co_return alignment.status();
  constexpr std::size_t kAtLeast = 4096;
  const std::size_t step = std::max({alignment->memory, alignment->offset, kAtLeast});
  const AlignedBlock block(step, step);
  std::fill(block.bytes().begin(), block.bytes().end(), std::byte{'w'});
  if (absl::Status written = co_await file->write_all_at(block.bytes(), 0); !written.ok()) co_return written;
  std::fill(block.bytes().begin(), block.bytes().end(), std::byte{0});
  if (absl::Status read = co_await file->read_exact_at(block.bytes(), 0); !read.ok()) co_return read;
  for (const std::byte byte : block.bytes()) {
    if (byte != std::byte{'w'}) co_return absl::DataLossError("other bytes were read than written");
  }
  co_return absl::StrCat("works; memory aligned to ", alignment->memory, " bytes, offset and length to ", alignment->offset);
}

}  // namespace

Findings try_files(std::string folder) {
  const std::string name = absl::StrCat("O_DIRECT in ", folder);
  auto loop = weir::Loop::create();
  if (!loop.ok()) return {Finding(name, Verdict::kBroken, std::string(loop.status().message()))};
  const absl::StatusOr<std::string> result =
      (*loop)->run(write_and_read(absl::StrCat(folder, "/.weir-doctor.", ::getpid())));
  if (result.ok()) return {Finding(name, Verdict::kFine, *result)};
  const int error = weir::status_errno(result.status());
  if (error == EINVAL || error == EOPNOTSUPP || absl::IsUnimplemented(result.status())) {
    return {Finding(name, Verdict::kGap, std::string(result.status().message()), "File::open without O_DIRECT goes through the page cache",
                    "a file system that has it: ext4, xfs, btrfs; tmpfs from Linux 6.6")};
  }
  return {Finding(name, Verdict::kGap, std::string(result.status().message()), "nothing was tried", "--path=FOLDER of one that can be written")};
}

}  // namespace doctor
