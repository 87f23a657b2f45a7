#include "weir/tools/tour/progress.h"

#include <unistd.h>

#include <array>
#include <cstdio>

#include "weir/runtime/time.h"

namespace tour {
namespace {

constexpr const char* kEraseLine = "\r\033[K";

}  // namespace

std::string grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string bytes_in_words(double bytes) {
  constexpr std::array kUnits = {"bytes", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  for (; bytes >= 999.95 && unit + 1 < kUnits.size(); ++unit) bytes /= 1000;
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text.data();
}

Progress::Progress() {
  if (::isatty(STDERR_FILENO) == 1) shower_ = weir::spawn([this] { return show(); });
}

Progress::~Progress() {
  shower_.cancel();
  if (shown_) std::fputs(kEraseLine, stderr);
}

weir::Task<void> Progress::show() {
  co_await weir::sleep_for(absl::Milliseconds(500));
  weir::Interval beat(absl::Milliseconds(200));
  for (;;) {
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin_);
    const double bytes = static_cast<double>(bytes_);
    std::fprintf(stderr, "%s%s lines, %s, %s a second", kEraseLine, grouped(lines_).c_str(), bytes_in_words(bytes).c_str(),
                 bytes_in_words(bytes / seconds).c_str());
    shown_ = true;
    (void)co_await beat.tick();
  }
}

}  // namespace tour
