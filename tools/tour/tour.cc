// A tour of weir on real input: one loop, one thread that blocks, one TCP connection.
//
//   bazel run //tools:tour                                   a text file of the system
//   bazel run //tools:tour -- /var/log/syslog -              files; - is standard input
//   bazel run //tools:tour -- --connect=localhost:9000 FILE  to any listener: nc -l 9000
//
// Each FILE is read line by line with ordinary blocking reads, inside a generator on a thread of the pool, which chains an
// MD5 over the lines. "digest TAB line" comes through a bounded stream to the loop, which sends it over TCP to a server on
// the same loop. The server checks every digest again and answers with a summary.
//
// Exit status: 0; 1 after one line on standard error; 128 + signal after Ctrl-C or SIGTERM.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "weir/bridge/entrypoint.h"
#include "weir/tools/tour/journey.h"
#include "weir/tools/tour/report.h"

ABSL_FLAG(std::string, output, "", "a file that keeps what is sent");
ABSL_FLAG(std::string, connect, "", "HOST:PORT of a listener that gets the lines, instead of the tour's own server");

namespace {

// A text that is on every Debian; on others, one that is on every system.
std::string default_input() {
  for (const char* path : {"/usr/share/common-licenses/GPL-3", "/etc/services"}) {
    if (::access(path, R_OK) == 0) return path;
  }
  return "/etc/passwd";
}

// `bazel run` starts programs elsewhere, and says where it was started itself.
void go_to_callers_directory() {
  const char* directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (directory != nullptr && ::chdir(directory) != 0) std::perror("tour: BUILD_WORKING_DIRECTORY");
}

weir::Task<void> run(tour::Options options) {
  const tour::Journey journey = co_await tour::travel(std::move(options));
  const std::string text = tour::report(journey);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "reads files line by line on a thread, chains an MD5 over the lines, and sends \"digest TAB line\" over TCP.\n"
      "usage: tour [--output=FILE] [--connect=HOST:PORT] [FILE | -]...");
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  go_to_callers_directory();
  tour::Options options;
  options.inputs.assign(arguments.begin() + 1, arguments.end());
  if (options.inputs.empty()) options.inputs.push_back(default_input());
  options.output = absl::GetFlag(FLAGS_output);
  options.connect = absl::GetFlag(FLAGS_connect);
  return weir::entrypoint(run(std::move(options)));
}
