// How far the tour is, and, where standard error is a terminal, a line there that says so while it lasts.
//
//   Progress progress;                       // on the loop
//   progress.add(lines, bytes);
//
// The line comes after half a second, is written again five times a second, and is gone when Progress is. Loop's thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/task.h"

namespace tour {

class Progress {
 public:
  Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  void add(uint64_t lines, uint64_t bytes) noexcept {
    lines_ += lines;
    bytes_ += bytes;
  }

 private:
  weir::Task<void> show();

  uint64_t lines_ = 0;
  uint64_t bytes_ = 0;
  const absl::Time begin_ = absl::Now();
  bool shown_ = false;
  weir::JoinHandle<void> shower_;
};

// "1,234,567"
std::string grouped(uint64_t number);
// "12.3 MB", in powers of ten.
std::string bytes_in_words(double bytes);

}  // namespace tour
