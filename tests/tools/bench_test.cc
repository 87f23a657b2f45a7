// The benchmarks, run as a user runs them: tools/bench/bench, or the program that $BENCH names.
#include <gmock/gmock.h>

#include <cstdlib>

#include "subprocess.h"

namespace weir::tests {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<std::string> bench(std::vector<std::string> arguments) {
  const char* other = std::getenv("BENCH");
  arguments.insert(arguments.begin(), other != nullptr ? other : "tools/bench/bench");
  return arguments;
}

TEST(BenchTest, MeasuresARow) {
  const std::string json = new_path("json");
  Subprocess run(bench({"--quick", "--filter=^task$", "--json=" + json}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_THAT(run.output(), HasSubstr("task: "));
  EXPECT_THAT(run.output(), HasSubstr("weir"));
  EXPECT_THAT(run.output(), HasSubstr("raw"));
  EXPECT_THAT(run.output(), HasSubstr("goal <= "));
  EXPECT_THAT(run.output(), Not(HasSubstr("not measured")));
  EXPECT_THAT(run.output(), Not(HasSubstr("nop/")));

  const std::string written = read_whole(json);
  ::unlink(json.c_str());
  EXPECT_THAT(written, HasSubstr("\"rows\": ["));
  EXPECT_THAT(written, HasSubstr("\"name\": \"task\""));
  EXPECT_THAT(written, HasSubstr("\"name\": \"raw\", \"value\": ["));
  EXPECT_THAT(written, HasSubstr("\"failure\": \"\""));
}

TEST(BenchTest, PrintsATableForTheReadme) {
  Subprocess run(bench({"--quick", "--markdown", "--filter=^task$"}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_THAT(run.output(), HasSubstr("| row | weir | raw |"));
  EXPECT_THAT(run.output(), HasSubstr("(`task`) |"));
}

TEST(BenchTest, ListsItsRows) {
  Subprocess run(bench({"--list"}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_THAT(run.output(), HasSubstr("nop/1"));
  EXPECT_THAT(run.output(), HasSubstr("spawn"));
}

TEST(BenchTest, MeasuresWhatGrows) {
  Subprocess run(bench({"--grow", "--quick", "--filter=grow/(post|connection|stream)/100$"}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  for (const char* name : {"\npost ", "\nconnection ", "\nstream "}) EXPECT_THAT(run.output(), HasSubstr(name));
  EXPECT_THAT(run.output(), Not(HasSubstr("not measured")));
}

TEST(BenchTest, MeasuresALoopThatIsBusyAndTwoLoopsAtOnePort) {
  Subprocess run(bench({"--quick", "--filter=lag/p50|loops"}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_THAT(run.output(), HasSubstr("lag/p50: "));
  EXPECT_THAT(run.output(), HasSubstr("weir, two loops"));
  EXPECT_THAT(run.output(), Not(HasSubstr("not measured")));
}

TEST(BenchTest, ComparesServices) {
  Subprocess run(bench({"--services", "--quick"}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  for (const char* title : {"http, ", "key-value, SET, 50 connections, 1 ", "key-value, SET, 50 connections, 16 ", "the tour, "}) {
    EXPECT_THAT(run.output(), HasSubstr(title));
  }
}

TEST(BenchTest, SaysWhatIsWrongWithAFilter) {
  Subprocess run(bench({"--filter=("}));
  EXPECT_EQ(run.wait(), 2);
  EXPECT_THAT(run.errors(), HasSubstr("--filter"));
}

}  // namespace
}  // namespace weir::tests
