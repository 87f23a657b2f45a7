// The example programs, run as a user runs them: tools/examples, or the program that $EXAMPLES names. Each is checked
// against the outcome that its document gives.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "subprocess.h"

namespace weir::tests {
namespace {

std::vector<std::string> examples(std::vector<std::string> arguments) {
  const char* other = std::getenv("EXAMPLES");
  arguments.insert(arguments.begin(), {other != nullptr ? other : "tools/examples", "--second=10ms"});
  return arguments;
}

// What an example prints; it ends with 0, and prints nothing on standard error.
std::string output_of(const std::vector<std::string>& arguments) {
  Subprocess run(examples(arguments));
  EXPECT_EQ(run.wait(), 0) << arguments[0];
  EXPECT_EQ(run.errors(), "") << arguments[0];
  return run.output();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream input(text);
  for (std::string line; std::getline(input, line);) lines.push_back(line);
  return lines;
}

std::string numbers_below(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += std::to_string(i) + "\n";
  return lines;
}

// What each prints, where it is always the same.
const std::map<std::string, std::string>& outcomes() {
  static const std::map<std::string, std::string> all{
      {"000-1", "['done', 'done']\n"},
      {"000-2", "result\nresult\nresult\n"},
      {"000-3", "42\nMyClass\n42\n"},
      {"000-6", "1000 items\n"},
      {"000-7", "a new line\na new line\na new line\n"},
      {"000-8", "stopped at 10\nstopped at 10\n"},
      {"000-9", numbers_below(100) + numbers_below(100)},
      {"000-10", "100 items\n"},
      {"000-11", "got: async result\n"},
      {"000-12", "value\n"},
      {"000-13", "Received: 0\nReceived: 1\nReceived: 2\nReceived: 3\nReceived: 4\n"},
      {"000-15", "4 threads\n"},
      {"000-16", "8 threads\n"},
      {"001-1", "3\n"},
      {"001-2", "sync_result [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n"},
      {"001-4", "[0, 1, 4, 9, 16]\n"},
      {"001-5", "content of http://example.com\ncontent of http://httpbin.org/json\n"},
      {"001-7", "['line1', 'line2', 'line3']\n"},
      {"001-8", "{'result': 'DATA'} 20 60\n"},
      {"001-9", "4\n"},
      {"001-11",
       "Result 0 http://example.com/0\nResult 1 http://example.com/1\nResult 2 http://example.com/2\n"
       "Result 3 http://example.com/3\n"},
      {"001-12", "3 True\n"},
      {"001-13", "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n"},
      {"001-14", "[0, 1, 2, 3, 4]\n"},
      {"001-15", "{'key': 'value', 'processed': True}\n"},
      {"001-16", "async_arg1awaited_arg2\n"},
      {"001-17", "['data', 'data from specific loop']\n"},
      {"001-18", "Processing report for alice\n"},
      {"001-19", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\ntimed out\n"},
      {"001-20", "success\nSomething went wrong\n"},
      {"001-21", "42 response from http://example.com\n"},
      {"003-10", "Thread started\nCoroutine started\nCoroutine done\nThread finished\n"},
      {"004-7", "[2.5, 5.0, 7.5]\n"},
      {"004-8", "Received line: one\nReceived line: two\nReceived line: three\n"},
      {"004-10", "weir::Threaded\nweir::ThreadedIterable\n42 42 42\n[0, 1, 2, 3, 4]\n[0, 1, 2, 3, 4]\n"},
      {"004-15", "Collected enough results from page 50\n"},
      {"004-16", "session closed\n"},
      {"004-18", "threads for 100 iterators: 0\nthreads for one that is read: 1\n"},
      {"004-21", "async result\n"},
  };
  return all;
}

// Those with a test of their own below.
const std::set<std::string> kOthers{"000-4", "000-5", "000-14", "003-1", "003-4", "003-6", "003-7", "003-8"};

class Outcome : public testing::TestWithParam<std::pair<const std::string, std::string>> {};

TEST_P(Outcome, IsThatOfTheDocument) {
  const auto& [id, expected] = GetParam();
  EXPECT_EQ(output_of({id}), expected);
}

INSTANTIATE_TEST_SUITE_P(Examples, Outcome, testing::ValuesIn(outcomes()), [](const auto& one) {
  std::string name = one.param.first;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Examples, AllFortySevenAreListedAndTested) {
  std::set<std::string> listed;
  const std::vector<std::string> lines = lines_of(output_of({"--list"}));
  for (const std::string& line : lines) listed.insert(line.substr(0, line.find(' ')));
  std::set<std::string> tested = kOthers;
  for (const auto& [id, expected] : outcomes()) tested.insert(id);
  EXPECT_EQ(listed, tested);
  EXPECT_EQ(lines.size(), 47u);
}

TEST(Examples, E000_4_AShortAndALongTask) {
  std::vector<std::string> lines = lines_of(output_of({"000-4"}));
  ASSERT_GE(lines.size(), 2u);
  EXPECT_EQ(lines.back(), "['quick', 'finished']");
  lines.pop_back();
  for (const std::string& line : lines) EXPECT_EQ(line, "Working...");
}

TEST(Examples, E000_5_TheLinesOfAFile) {
  const std::string path = new_path("hosts");
  std::ofstream(path) << "  127.0.0.1 localhost \n\n::1 localhost";
  EXPECT_EQ(output_of({"000-5", path}), "127.0.0.1 localhost\n\n::1 localhost\n");
  ::unlink(path.c_str());
}

TEST(Examples, E000_14_EachLineIsWhole) {
  std::vector<std::string> lines = lines_of(output_of({"000-14"}));
  std::sort(lines.begin(), lines.end());
  const std::vector<std::string> expected{"[req-001] Processing request", "[req-002] Processing request",
                                          "[req-003] Processing request"};
  EXPECT_EQ(lines, expected);
}

TEST(Examples, E003_1_FiveIds) {
  const std::vector<std::string> lines = lines_of(output_of({"003-1"}));
  EXPECT_EQ(lines.size(), 5u);
  for (const std::string& line : lines) {
    const int id = std::atoi(line.c_str());
    EXPECT_TRUE(id >= 1 && id <= 65535) << line;
  }
}

TEST(Examples, E003_4_TheGoldenDigests) {
  EXPECT_EQ(output_of({"003-4", "tests/tools/blockchain_input.py.txt"}), read_whole("tests/tools/blockchain_expected.tsv"));
}

TEST(Examples, E003_6_TheFileAndTheNoise) {
  const std::string path = "tests/tools/blockchain_input.py.txt";
  const std::size_t size = read_whole(path).size();
  ASSERT_GT(size, 0u);
  EXPECT_EQ(output_of({"003-6", path}), std::to_string(size + 160) + " bytes: " + std::to_string(size) + " of " + path +
                                            " and 160 of noise\n");
}

TEST(Examples, E003_7_8_ADigest) {
  for (const char* id : {"003-7", "003-8"}) {
    const std::string digest = output_of({id});
    EXPECT_EQ(digest.size(), 33u);
    EXPECT_EQ(digest.find_first_not_of("0123456789abcdef"), 32u) << digest;
  }
}

TEST(Examples, SeveralInOneRunAndTheSameUnderAnotherName) {
  EXPECT_EQ(output_of({"002-12", "004-6", "000-11"}), "value\nresult\nresult\nresult\ngot: async result\n");
}

TEST(Examples, WhatFailsIsOneLineAndOne) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes{
      {{"000-0"}, "examples: there is no 000-0; --list shows what there is\n"},
      {{}, "examples: which one? --list shows what there is\n"},
      {{"000-5", "/nonexistent"}, "examples: 000-5: cannot open /nonexistent\n"},
  };
  for (const auto& [arguments, message] : mistakes) {
    Subprocess run(examples(arguments));
    EXPECT_EQ(run.wait(), 1);
    EXPECT_EQ(run.errors(), message);
    EXPECT_EQ(run.output(), "");
  }
}

}  // namespace
}  // namespace weir::tests
