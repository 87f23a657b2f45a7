// tools/doctor, run as a user runs it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "subprocess.h"
#include "weir/tests/testing/child_process.h"

namespace weir::tests {
namespace {

using ::testing::TempDir;

constexpr char kDoctor[] = "tools/doctor";

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A string without its escapes, and so without its quotes: what is left of JSON are brackets, words and commas.
bool looks_like_json(const std::string& text) {
  std::string open;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char byte = text[i];
    if (in_string) {
      if (byte == '\\') ++i;
      if (byte == '"') in_string = false;
      if (static_cast<unsigned char>(byte) < 0x20) return false;
    } else if (byte == '"') {
      in_string = true;
    } else if (byte == '{' || byte == '[') {
      open += byte;
    } else if (byte == '}' || byte == ']') {
      if (open.empty() || open.back() != (byte == '}' ? '{' : '[')) return false;
      open.pop_back();
    }
  }
  return open.empty() && !in_string;
}

TEST(Doctor, SaysWhatThisMachineAllows) {
  Subprocess doctor({kDoctor, "--path=" + TempDir()});
  EXPECT_EQ(doctor.wait(), 0) << doctor.output();
  const std::string text = doctor.output();
  for (const char* name : {"kernel", "sysctl", "seccomp", "memlock limit", "open files", "ring", "ring flags", "requests",
                           "registered buffers", "multishot receive", "O_DIRECT in "}) {
    EXPECT_TRUE(contains(text, name)) << name << " in:\n" << text;
  }
  EXPECT_TRUE(contains(text, "weir runs here")) << text;
  EXPECT_EQ(doctor.errors(), "");
}

TEST(Doctor, AlsoAsJson) {
  Subprocess doctor({kDoctor, "--json", "--path=" + TempDir()});
  EXPECT_EQ(doctor.wait(), 0);
  const std::string text = doctor.output();
  EXPECT_TRUE(looks_like_json(text)) << text;
  EXPECT_TRUE(contains(text, "{\"weir_runs\": true, \"findings\": [")) << text;
  EXPECT_TRUE(contains(text, "{\"name\": \"ring\", \"verdict\": \"fine\", \"found\": \"works")) << text;
}

TEST(Doctor, AFolderThatCannotBeWrittenIsAGap) {
  Subprocess doctor({kDoctor, "--path=/no/such/folder"});
  EXPECT_EQ(doctor.wait(), 0);
  EXPECT_TRUE(contains(doctor.output(), "gap     O_DIRECT in /no/such/folder")) << doctor.output();
  EXPECT_TRUE(contains(doctor.output(), "No such file or directory")) << doctor.output();
}

TEST(Doctor, Helps) {
  Subprocess doctor({kDoctor, "--help"});
  doctor.wait();
  EXPECT_TRUE(contains(doctor.output() + doctor.errors(), "usage: doctor [--path=FOLDER] [--json]"));
}

// The doctor behind a filter that refuses a system call, or with a small limit.
struct Visit {
  int status;
  std::string output;
};
template <class Prepare>
Visit behind(Prepare prepare) {
  const std::string path = new_path("doctor");
  const int status = weir::testing::exit_status_of([&] {
    if (!prepare()) return weir::testing::kCannotTry;
    const int output = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(output, STDOUT_FILENO);
    ::unsetenv("BUILD_WORKING_DIRECTORY");
    ::execl(kDoctor, kDoctor, "--path=/tmp", nullptr);
    return 126;
  });
  return {status, read_whole(path)};
}

TEST(Doctor, AFilterThatForbidsRingsMeansWeirCannotRun) {
  const Visit visit = behind([] { return weir::testing::refuse_system_call(__NR_io_uring_setup, EPERM); });
  if (visit.status == weir::testing::kCannotTry) GTEST_SKIP() << "no seccomp filter can be set here";
  EXPECT_EQ(visit.status, 1) << visit.output;
  EXPECT_TRUE(contains(visit.output, "broken  ring")) << visit.output;
  EXPECT_TRUE(contains(visit.output, "seccomp")) << visit.output;
  EXPECT_TRUE(contains(visit.output, "weir cannot run here.")) << visit.output;
}

TEST(Doctor, AFilterThatForbidsRegistrationsToo) {
  const Visit visit = behind([] { return weir::testing::refuse_system_call(__NR_io_uring_register, EPERM); });
  if (visit.status == weir::testing::kCannotTry) GTEST_SKIP() << "no seccomp filter can be set here";
  EXPECT_EQ(visit.status, 1) << visit.output;
  EXPECT_TRUE(contains(visit.output, "allow io_uring_register")) << visit.output;
}

TEST(Doctor, FewDescriptorsAreAGap) {
  const Visit visit = behind([] {
    const rlimit limit{256, 256};
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
  });
  EXPECT_EQ(visit.status, 0) << visit.output;
  EXPECT_TRUE(contains(visit.output, "256 (at most 256)")) << visit.output;
  EXPECT_TRUE(contains(visit.output, "cure: ulimit -n 65536")) << visit.output;
}

}  // namespace
}  // namespace weir::tests
