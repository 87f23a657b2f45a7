// The file of --output: what was sent is kept in it as well. Loop's thread.
//
//   Output output = co_await Output::open("/tmp/lines.tsv");
//   co_await output.write(bytes);
//
// Errors: std::runtime_error, with one clear line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "weir/runtime/io/file.h"
#include "weir/runtime/task.h"

namespace tour {

class Output {
 public:
  // Empties the file, or makes it.
  static weir::Task<Output> open(std::string path);
  weir::Task<void> write(std::string_view bytes);
  weir::Task<void> close();

 private:
  explicit Output(weir::File file) : file_(std::move(file)) {}

  weir::File file_;
  uint64_t size_ = 0;
};

}  // namespace tour
