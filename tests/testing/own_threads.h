// The threads of this process, as the kernel lists them; and a time in which no more of them can be made.
#pragma once

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/types.h>

#include <algorithm>
#include <cstddef>
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

// While it lives, threads with the default attributes cannot be made: no address space has room for their stacks.
class NoNewThreads {
 public:
  NoNewThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    EXPECT_EQ(pthread_attr_setstacksize(&huge, std::size_t{1} << 47), 0);
    EXPECT_EQ(pthread_setattr_default_np(&huge), 0);
    pthread_attr_destroy(&huge);
  }
  NoNewThreads(const NoNewThreads&) = delete;
  NoNewThreads& operator=(const NoNewThreads&) = delete;
  ~NoNewThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

}  // namespace weir::testing
