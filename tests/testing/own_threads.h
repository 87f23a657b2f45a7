// The threads of this process, as the kernel lists them.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace weir::testing {

// The threads whose names begin with `prefix`. One that has not named itself yet is none of them.
inline std::vector<pid_t> list_threads(std::string_view prefix) {
  std::vector<pid_t> threads;
  std::error_code gone;  // a thread may end meanwhile
  for (std::filesystem::directory_iterator at("/proc/self/task", gone), end; at != end; at.increment(gone)) {
    std::ifstream comm(at->path() / "comm");
    std::string name;
    if (std::getline(comm, name) && name.starts_with(prefix)) threads.push_back(std::stoi(at->path().filename()));
  }
  return threads;
}

inline std::size_t threads_named(std::string_view prefix) { return list_threads(prefix).size(); }

// Whether it sleeps in the kernel now; also true when it has gone.
inline bool is_asleep(pid_t thread) {
  std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  if (!std::getline(stat, line)) return true;
  const std::size_t state = line.rfind(')');  // the name before it may hold anything
  return state == std::string::npos || line.substr(state).starts_with(") S");
}

inline bool all_asleep(std::string_view prefix) {
  const std::vector<pid_t> threads = list_threads(prefix);
  return std::all_of(threads.begin(), threads.end(), is_asleep);
}

}  // namespace weir::testing
