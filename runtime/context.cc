#include "weir/runtime/context.h"

#include <algorithm>
#include <vector>

namespace weir::internal {

struct Context::Table {
  struct Entry {
    uint64_t variable;
    ContextValueRef value;
  };

  Table() = default;
  explicit Table(const std::vector<Entry>& from) : entries(from) {}

  std::vector<Entry>::iterator lower_bound(uint64_t variable) {
    return std::lower_bound(entries.begin(), entries.end(), variable,
                            [](const Entry& entry, uint64_t wanted) { return entry.variable < wanted; });
  }

  std::atomic<uint32_t> references{1};
  std::vector<Entry> entries;  // sorted by variable; constant while several contexts refer to the table
};

void Context::retain(Table* table) { table->references.fetch_add(1, std::memory_order_relaxed); }

void Context::release(Table* table) {
  // acq_rel, with itself and the acquire in replace(): the last one destroys or changes what the others have read.
  if (table->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete table;
}

ContextValue* Context::find(uint64_t variable) const {
  if (table_ == nullptr) return nullptr;
  const auto at = table_->lower_bound(variable);
  return at != table_->entries.end() && at->variable == variable ? at->value.get() : nullptr;
}

ContextValueRef Context::replace(uint64_t variable, ContextValueRef value) {
  if (table_ == nullptr) {
    if (value.get() == nullptr) return value;
    table_ = new Table;
  } else if (table_->references.load(std::memory_order_acquire) != 1) {
    Table* const copy = new Table(table_->entries);
    release(std::exchange(table_, copy));
  }
  const auto at = table_->lower_bound(variable);
  if (at != table_->entries.end() && at->variable == variable) {
    std::swap(at->value, value);
    if (at->value.get() == nullptr) table_->entries.erase(at);
  } else if (value.get() != nullptr) {
    table_->entries.insert(at, Table::Entry{variable, std::exchange(value, ContextValueRef())});
  }
  if (table_->entries.empty()) release(std::exchange(table_, nullptr));
  return value;
}

Context& Context::own() {
  static thread_local Context context;
  return context;
}

uint64_t next_context_variable() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void throw_unset(const std::string& variable) {
  throw LookupError("the context variable '" + variable + "' has no value here and no default");
}

void throw_foreign_token(const std::string& variable) {
  throw std::logic_error("reset() of the context variable '" + variable + "' with a token of another variable");
}

void throw_spent_token(const std::string& variable) {
  throw std::logic_error("reset() of the context variable '" + variable + "' with a token that was used before");
}

}  // namespace weir::internal
