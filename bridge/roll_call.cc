#include "weir/bridge/roll_call.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weir/bridge/futex.h"
#include "weir/bridge/loop_annex.h"
#include "weir/runtime/engine.h"

namespace weir::internal {
namespace {

constexpr std::size_t kNamesMax = 20;

// Each name once, with how many have it; so many names at most.
std::string counted(const std::vector<std::string>& names) {
  std::map<std::string, std::size_t> counts;
  std::vector<std::string> order;
  for (const std::string& name : names) {
    if (counts[name]++ == 0) order.push_back(name);
  }
  std::vector<std::string> parts;
  for (const std::string& name : order) {
    if (parts.size() == kNamesMax) {
      parts.push_back(absl::StrCat(order.size() - kNamesMax, " other names"));
      break;
    }
    const std::size_t count = counts[name];
    parts.push_back(count == 1 ? name : absl::StrCat(name, " (x", count, ")"));
  }
  return absl::StrJoin(parts, ", ");
}

std::string what_runs(Engine& engine) {
  std::vector<std::string> tasks;
  engine.for_each_root([&tasks](const Root& root) { tasks.emplace_back(root.name().empty() ? "a task without a name" : root.name()); });
  std::string text = counted(tasks);
  auto* const annex = static_cast<BridgeAnnex*>(engine.annex_or_null());
  const std::vector<std::string> threads = annex != nullptr ? annex->busy_threads() : std::vector<std::string>();
  if (!threads.empty()) absl::StrAppend(&text, text.empty() ? "" : "; ", "on threads: ", counted(threads));
  return text.empty() ? "nothing" : text;
}

// A question on its way. The asker and the inbox hold it: either may let go first.
class Question final : public InboxNode {
 public:
  Question() = default;

  void release() noexcept {
    // acq_rel, with itself: whoever deletes sees what the other did.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  void answer(std::string names) noexcept {
    names_ = std::move(names);
    answered_.store(1, std::memory_order_release);  // pairs with wait()
    futex_wake(answered_, kWakeAll);
    release();
  }
  std::string wait(int64_t deadline_ns) {
    while (answered_.load(std::memory_order_acquire) == 0) {  // pairs with answer()
      if (!futex_wait(answered_, 0, deadline_ns)) return std::string();
    }
    return names_;
  }
  void deliver() noexcept override { answer(what_runs(*thread_state.engine)); }

 private:
  ~Question() = default;

  std::atomic<int> references_{2};
  std::atomic<uint32_t> answered_{0};
  std::string names_;  // once answered
};

}  // namespace

std::string roll_call(const LoopHandle& loop, absl::Duration at_most) {
  const int64_t now_ns = monotonic_now_ns();
  const int64_t deadline_ns = now_ns + std::min(absl::ToInt64Nanoseconds(at_most), INT64_MAX - now_ns);
  auto* const question = new Question;
  if (!HandleAccess::control(loop).push(*question)) question->answer("nothing");
  std::string names = question->wait(deadline_ns);
  question->release();
  return names;
}

}  // namespace weir::internal
