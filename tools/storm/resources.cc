#include "weir/tools/storm/resources.h"

#include <malloc.h>

#include <filesystem>
#include <iterator>

#include "absl/time/clock.h"

namespace storm {
namespace {

constexpr long kHeapSlackBytes = 4 << 20;
constexpr absl::Duration kPatience = absl::Seconds(30);

int entries_of(const char* folder) {
  const std::filesystem::directory_iterator entries(folder);
  return static_cast<int>(std::distance(begin(entries), end(entries)));
}

std::string more(int now, int before, const char* what) {
  return now > before ? std::to_string(now - before) + " " + what + " are left over; " : "";
}

}  // namespace

Resources resources() {
  Resources held;
  held.descriptors = entries_of("/proc/self/fd");
  held.threads = entries_of("/proc/self/task");
  held.heap_bytes = static_cast<long>(::mallinfo2().uordblks);
  return held;
}

std::string lost_since(const Resources& before) {
  const absl::Time deadline = absl::Now() + kPatience;
  Resources now = resources();
  while ((now.threads > before.threads || now.descriptors > before.descriptors) && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(1));
    now = resources();
  }
  std::string lost = more(now.descriptors, before.descriptors, "descriptors") + more(now.threads, before.threads, "threads");
  if (now.heap_bytes > before.heap_bytes + kHeapSlackBytes) {
    lost += std::to_string(now.heap_bytes - before.heap_bytes) + " bytes are left over; ";
  }
  return lost;
}

}  // namespace storm
