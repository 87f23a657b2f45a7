// mutate() of explorer.h: the code under test with one order, one wake-up, one fence or one load changed.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "weir/tests/testing/explorer.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_MUTATION_ASAN 1
#include <sanitizer/lsan_interface.h>
#endif
#endif

namespace weir::testing {
namespace {

using explorer_internal::Access;

// Threads that hang own what they had.
class LeaksAllowed {
 public:
#if defined(WEIR_MUTATION_ASAN)
  LeaksAllowed() { __lsan_disable(); }
  ~LeaksAllowed() { __lsan_enable(); }
#else
  LeaksAllowed() {}
  ~LeaksAllowed() {}
#endif
  LeaksAllowed(const LeaksAllowed&) = delete;
  LeaksAllowed& operator=(const LeaksAllowed&) = delete;
};

// One place in the code under test, and what is done to it.
struct Mutant {
  Place place;
  Access access = Access::kLoad;
  std::memory_order before = std::memory_order_relaxed;
  std::memory_order after = std::memory_order_relaxed;
  const char* change = nullptr;  // something else than an order
  uint64_t explorations = 0;     // a bit for each that comes by

  bool at(const Place& other) const {
    return place.line() == other.line() && place.column() == other.column() &&
           std::strcmp(place.file_name(), other.file_name()) == 0;
  }
  friend bool operator==(const Mutant& a, const Mutant& b) {
    return a.at(b.place) && a.access == b.access && a.before == b.before && a.after == b.after && a.change == b.change;
  }
};

uint64_t collecting_in = 0;  // an exploration's bit, while mutants are looked for
MutationOptions collecting_options;
std::vector<Mutant> mutants;
const Mutant* mutant = nullptr;  // the one at work

std::vector<std::memory_order> one_step_weaker(Access access, std::memory_order order) {
  const bool reads = access != Access::kStore;
  const bool writes = access == Access::kStore || access == Access::kModify;
  switch (order) {
    case std::memory_order_seq_cst:
      return {reads && writes ? std::memory_order_acq_rel : reads ? std::memory_order_acquire : std::memory_order_release};
    case std::memory_order_acq_rel:
      return {std::memory_order_acquire, std::memory_order_release};
    case std::memory_order_acquire:
    case std::memory_order_release:
      return {std::memory_order_relaxed};
    default:
      return {};
  }
}

void collect(Mutant found) {
  if (found.change == explorer_internal::kNoComparison && !collecting_options.comparisons) return;
  if (found.change == explorer_internal::kNoAnswer && !collecting_options.answers) return;
  const std::string_view file = found.place.file_name();
  const auto is_in = [file](std::string_view part) { return file.find(part) != std::string_view::npos; };
  if (is_in("tests/") || !is_in(collecting_options.only_in) || is_in(collecting_options.but_in)) return;
  auto known = std::find(mutants.begin(), mutants.end(), found);
  if (known == mutants.end()) known = mutants.insert(known, found);
  known->explorations |= collecting_in;
}

const char* name(std::memory_order order) {
  switch (order) {
    case std::memory_order_seq_cst:
      return "seq_cst";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    default:
      return "relaxed";
  }
}

// The name alone, without class and parameters.
std::string function_of(const Place& place) {
  std::string_view name = place.function_name();
  name = name.substr(0, name.find(" ["));
  size_t end = name.rfind(')');
  for (int depth = 0; end != std::string_view::npos; --end) {
    depth += name[end] == ')' ? 1 : name[end] == '(' ? -1 : 0;
    if (depth == 0) break;
  }
  name = name.substr(0, end);
  return std::string(name.substr(name.find_last_of(": ") + 1));
}

std::string describe(const Mutant& what) {
  const std::string function = function_of(what.place);
  if (what.change != nullptr) return function + ": " + what.change;
  const char* access = what.access == Access::kLoad      ? "load"
                       : what.access == Access::kStore   ? "store"
                       : what.access == Access::kFailure ? "failed exchange"
                                                         : "exchange";
  return function + ": " + access + " " + name(what.before) + " -> " + name(what.after);
}

}  // namespace

MutationReport mutate(const Explorations& explorations, const MutationOptions& options) {
  MutationReport report;
  mutants.clear();
  collecting_options = options;
  collecting_in = 1;
  for (const auto& explore_one : explorations) {
    if (const ExplorerResult result = explore_one(); !result.failure.empty()) {
      report.survivors.push_back("fails without any change: " + result.failure);
    }
    collecting_in <<= 1;
  }
  collecting_in = 0;
  const std::vector<Mutant> all = std::move(mutants);
  report.mutants = static_cast<int>(all.size());
  const LeaksAllowed leaks;
  for (const Mutant& one : all) {
    mutant = &one;
    bool noticed = false;
    for (size_t i = 0; i < explorations.size() && !noticed; ++i) {
      noticed = (one.explorations >> i & 1) != 0 && !explorations[i]().failure.empty();
    }
    if (noticed) continue;
    auto& list = one.change == explorer_internal::kNothingNew ? report.hints
                 : one.change == explorer_internal::kNoAnswer ? report.unheard
                                                              : report.survivors;
    list.push_back(describe(one));
  }
  mutant = nullptr;
  for (auto* list : {&report.survivors, &report.hints, &report.unheard}) std::sort(list->begin(), list->end());
  return report;
}

namespace explorer_internal {

std::memory_order order_at(const Place& place, Access access, std::memory_order order) {
  if (collecting_in != 0) {
    for (const std::memory_order weaker : one_step_weaker(access, order)) collect({place, access, order, weaker, nullptr, 0});
  }
  const bool changed = mutant != nullptr && mutant->change == nullptr && mutant->access == access && mutant->before == order && mutant->at(place);
  return changed ? mutant->after : order;
}

bool left_out(const Place& place, const char* change) {
  if (collecting_in != 0) collect({place, {}, {}, {}, change, 0});
  return mutant != nullptr && mutant->change != nullptr && mutant->at(place) && std::strcmp(mutant->change, change) == 0;
}

}  // namespace explorer_internal
}  // namespace weir::testing
