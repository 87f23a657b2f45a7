// A program started by a test, its standard error and output kept in files.
//
//   Subprocess tour({"tools/tour", "-"}, stdin_fd);
//   tour.signal(SIGINT);
//   EXPECT_EQ(tour.wait(), 130);             // its exit status; 128 + signal if a signal ended it
//   tour.errors();  tour.output();
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace weir::tests {

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// A path that is used for the first time, in the test's own folder.
inline std::string new_path(const std::string& name) {
  static std::atomic<int> count{0};
  return testing::TempDir() + "/" + name + "." + std::to_string(::getpid()) + "." + std::to_string(++count);
}

class Subprocess {
 public:
  // `input` becomes its standard input; -1: the empty one.
  explicit Subprocess(std::vector<std::string> command, int input = -1)
      : output_path_(new_path("stdout")), error_path_(new_path("stderr")) {
    ::unsetenv("BUILD_WORKING_DIRECTORY");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (input < 0) {
      ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    } else {
      ::posix_spawn_file_actions_adddup2(&actions, input, 0);
    }
    ::posix_spawn_file_actions_addopen(&actions, 1, output_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::posix_spawn_file_actions_addopen(&actions, 2, error_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    std::vector<char*> arguments;
    for (std::string& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int error = ::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(error, 0) << command[0];
    if (error != 0) pid_ = -1;
  }
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;
  ~Subprocess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      (void)wait();
    }
    ::unlink(output_path_.c_str());
    ::unlink(error_path_.c_str());
  }

  bool runs() const {
    siginfo_t ended{};
    return pid_ > 0 && ::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0;
  }
  void signal(int number) const { ::kill(pid_, number); }

  int wait() {
    if (pid_ <= 0) return -1;
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

  std::string output() const { return read_whole(output_path_); }
  std::string errors() const { return read_whole(error_path_); }

 private:
  const std::string output_path_;
  const std::string error_path_;
  pid_t pid_ = -1;
};

}  // namespace weir::tests
