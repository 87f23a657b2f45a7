#include "weir/tools/examples/key_value_store.h"

#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace examples {
namespace {

constexpr absl::string_view kNotAnInteger = "-ERR value is not an integer or out of range\r\n";
constexpr absl::string_view kSyntax = "-ERR syntax error\r\n";

void integer(int64_t value, std::string& answer) { absl::StrAppend(&answer, ":", value, "\r\n"); }
void bulk(absl::string_view text, std::string& answer) { absl::StrAppend(&answer, "$", text.size(), "\r\n", text, "\r\n"); }

}  // namespace

void KeyValueStore::run(const Command& command, absl::Time now, std::string& answer) {
  const std::string name = command.empty() ? "" : absl::AsciiStrToUpper(command[0]);
  const size_t count = command.size();
  const auto key = [&command] { return command[1]; };
  if (name == "GET" && count == 2) return get(command, now, answer);
  if (name == "SET" && count >= 3) return set(command, now, answer);
  if (name == "INCR" && count == 2) return add(key(), 1, now, answer);
  if (name == "DEL" && count >= 2) {
    int64_t removed = 0;
    for (size_t i = 1; i < count; ++i) removed += remove(command[i], now) ? 1 : 0;
    return integer(removed, answer);
  }
  if (name == "EXPIRE" && count == 3) {
    int64_t seconds = 0;
    if (!absl::SimpleAtoi(command[2], &seconds)) return absl::StrAppend(&answer, kNotAnInteger);
    Entry* const entry = find(key(), now);
    if (entry != nullptr) set_deadline(key(), *entry, now + absl::Seconds(seconds));
    return integer(entry != nullptr ? 1 : 0, answer);
  }
  if (name == "TTL" && count == 2) {
    const Entry* const entry = find(key(), now);
    if (entry == nullptr) return integer(-2, answer);
    if (entry->deadline == absl::InfiniteFuture()) return integer(-1, answer);
    return integer(absl::ToInt64Seconds(entry->deadline - now + absl::Milliseconds(500)), answer);
  }
  if (name == "PING" && count <= 2) {
    if (count == 2) return bulk(command[1], answer);
    return absl::StrAppend(&answer, "+PONG\r\n");
  }
  // What clients ask before they begin: which commands there are, and settings, which are all empty.
  if (name == "COMMAND") return absl::StrAppend(&answer, "*0\r\n");
  if (name == "CONFIG" && count == 3) {
    absl::StrAppend(&answer, "*2\r\n");
    bulk(command[2], answer);
    return bulk("", answer);
  }
  absl::StrAppend(&answer, "-ERR unknown command '", command.empty() ? "" : command[0], "', or a wrong number of arguments\r\n");
}

void KeyValueStore::get(const Command& command, absl::Time now, std::string& answer) {
  const Entry* const entry = find(command[1], now);
  if (entry == nullptr) return absl::StrAppend(&answer, "$-1\r\n");
  bulk(entry->value, answer);
}

// SET key value [EX seconds]
void KeyValueStore::set(const Command& command, absl::Time now, std::string& answer) {
  absl::Time deadline = absl::InfiniteFuture();
  if (command.size() != 3) {
    int64_t seconds = 0;
    if (command.size() != 5 || absl::AsciiStrToUpper(command[3]) != "EX") return absl::StrAppend(&answer, kSyntax);
    if (!absl::SimpleAtoi(command[4], &seconds) || seconds <= 0) return absl::StrAppend(&answer, kNotAnInteger);
    deadline = now + absl::Seconds(seconds);
  }
  set_deadline(command[1], put(command[1], std::string(command[2])), deadline);
  absl::StrAppend(&answer, "+OK\r\n");
}

void KeyValueStore::add(absl::string_view key, int64_t amount, absl::Time now, std::string& answer) {
  Entry* const entry = find(key, now);
  int64_t value = 0;
  if (entry != nullptr && !absl::SimpleAtoi(entry->value, &value)) return absl::StrAppend(&answer, kNotAnInteger);
  if (value > std::numeric_limits<int64_t>::max() - amount) return absl::StrAppend(&answer, kNotAnInteger);
  value += amount;
  (entry != nullptr ? *entry : put(key, "")).value = absl::StrCat(value);
  integer(value, answer);
}

KeyValueStore::Entry* KeyValueStore::find(absl::string_view key, absl::Time now) {
  const auto found = entries_.find(std::string(key));
  if (found == entries_.end()) return nullptr;
  if (found->second.deadline > now) return &found->second;
  entries_.erase(found);
  return nullptr;
}

KeyValueStore::Entry& KeyValueStore::put(absl::string_view key, std::string value) {
  Entry& entry = entries_[std::string(key)];
  entry.value = std::move(value);
  return entry;
}

bool KeyValueStore::remove(absl::string_view key, absl::Time now) {
  return find(key, now) != nullptr && entries_.erase(std::string(key)) != 0;
}

void KeyValueStore::set_deadline(absl::string_view key, Entry& entry, absl::Time deadline) {
  entry.deadline = deadline;
  if (deadline != absl::InfiniteFuture()) deadlines_.emplace(deadline, key);
}

void KeyValueStore::expire(absl::Time now, int budget) {
  for (; budget > 0 && !deadlines_.empty() && deadlines_.begin()->first <= now; --budget) {
    find(deadlines_.begin()->second, now);
    deadlines_.erase(deadlines_.begin());
  }
}

}  // namespace examples
