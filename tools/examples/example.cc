#include "weir/tools/examples/example.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

namespace examples {
namespace {

absl::Duration second = absl::Seconds(1);  // set before any example runs

}  // namespace

absl::Duration seconds(double count) { return count * second; }
void set_second(absl::Duration length) { second = length; }

void check(bool holds, std::source_location place) {
  if (holds) return;
  throw std::runtime_error(std::string("the check in ") + place.file_name() + ":" + std::to_string(place.line()) + " does not hold");
}

std::string temporary_path(const std::string& name) {
  static std::atomic<int> count{0};
  const std::string unique = name + "." + std::to_string(::getpid()) + "." + std::to_string(++count);
  return std::filesystem::temp_directory_path() / unique;
}

void write_line(std::string line) {
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stdout);  // holds stdout's lock for the whole line
  std::fflush(stdout);
}

}  // namespace examples
