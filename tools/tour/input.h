// Input: a file, a device, a named pipe or standard input, read in parts with ordinary blocking reads, on a thread.
//
//   Input input("-");
//   for (std::string_view part; !(part = input.next_part()).empty();) use(part);
//
// A part reaches to the end of a line, newline included, or as far as the block that was read: the line goes on in the
// next part then. Empty at the end. It refers to the block, until the next call.
//
// Errors: std::runtime_error, "tour: /x: No such file or directory". A read that might block for ever (a pipe, a terminal,
// a socket) is made only when poll() on the loop says that it will not: the thread waits in weir::sync_await, which ends
// with weir::Cancelled when the program ends. Memory: one block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tour {

class Input {
 public:
  explicit Input(const std::string& path);
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input();

  std::string_view next_part();

  // Where the last part begins, in bytes from where reading began.
  uint64_t part_offset() const noexcept { return part_offset_; }

  // What was read once can be read again.
  bool rereadable() const noexcept { return rereadable_; }
  // Up to `size` bytes from `offset`, counted as part_offset() is; throws when the file is shorter now.
  std::string reread(uint64_t offset, std::size_t size) const;

  uint64_t reads() const noexcept { return reads_; }
  uint64_t waits() const noexcept { return waits_; }  // for poll()

 private:
  void open(const std::string& path);
  bool fill();  // false at the end
  [[noreturn]] void fail(int error) const;

  std::string name_;  // in messages
  int fd_ = -1;
  bool owned_ = false;
  bool may_block_ = false;
  bool rereadable_ = false;
  uint64_t base_ = 0;  // the file offset at which reading began
  std::string block_;
  std::size_t begin_ = 0;  // of what is left of the block
  std::size_t end_ = 0;
  uint64_t offset_ = 0;       // of begin_
  uint64_t part_offset_ = 0;
  uint64_t reads_ = 0;
  uint64_t waits_ = 0;
};

// "standard input" for "-".
std::string display_name(const std::string& path);

}  // namespace tour
