// What the key-value server keeps, and the commands on it. One loop's: it needs no lock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace examples {

class KeyValueStore {
 public:
  using Command = std::vector<absl::string_view>;

  // Carries out a command, its name first, and appends the answer in Redis' protocol.
  void run(const Command& command, absl::Time now, std::string& answer);

  // Forgets what has expired by now: at most `budget` keys, so that a loop does not stall.
  void expire(absl::Time now, int budget);

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string value;
    absl::Time deadline = absl::InfiniteFuture();
  };
  using Entries = std::unordered_map<std::string, Entry>;

  Entry* find(absl::string_view key, absl::Time now);
  Entry& put(absl::string_view key, std::string value);
  bool remove(absl::string_view key, absl::Time now);
  void set_deadline(absl::string_view key, Entry& entry, absl::Time deadline);

  void get(const Command& command, absl::Time now, std::string& answer);
  void set(const Command& command, absl::Time now, std::string& answer);
  void add(absl::string_view key, int64_t amount, absl::Time now, std::string& answer);

  Entries entries_;
  std::multimap<absl::Time, std::string> deadlines_;  // some may be of keys that have changed since
};

}  // namespace examples
