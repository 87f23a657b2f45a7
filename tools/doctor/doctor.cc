// What this kernel, container and limits allow weir, what weir does about each gap, and how to close it.
//
//   bazel run //tools:doctor                         for people
//   bazel run //tools:doctor -- --json               for programs
//   bazel run //tools:doctor -- --path=/var/lib/x    O_DIRECT where the data will lie
//
// It checks by doing: a ring, a multishot receive, a registered buffer, O_DIRECT.
// Exit status: 0 if weir runs here, be it with gaps; 1 if it cannot.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "weir/tools/doctor/file_checks.h"
#include "weir/tools/doctor/machine.h"
#include "weir/tools/doctor/report.h"
#include "weir/tools/doctor/ring_checks.h"

ABSL_FLAG(std::string, path, ".", "the folder in which O_DIRECT is tried");
ABSL_FLAG(bool, json, false, "print the findings as JSON");

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "says what this kernel, container and limits allow weir, what weir does about each gap, and how to close it.\n"
      "usage: doctor [--path=FOLDER] [--json]\n"
      "exit status: 0 if weir runs here, be it with gaps; 1 if it cannot.");
  absl::ParseCommandLine(argc, argv);
  // `bazel run` starts programs elsewhere, and says where it was started itself.
  const char* const directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (directory != nullptr && ::chdir(directory) != 0) std::perror("doctor: BUILD_WORKING_DIRECTORY");

  doctor::Findings findings = doctor::look_at_machine();
  for (doctor::Finding& finding : doctor::try_ring()) findings.push_back(std::move(finding));
  if (doctor::weir_runs(findings)) {
    for (doctor::Finding& finding : doctor::try_files(absl::GetFlag(FLAGS_path))) findings.push_back(std::move(finding));
  }
  const std::string text = absl::GetFlag(FLAGS_json) ? doctor::as_json(findings) : doctor::as_text(findings);
  std::fputs(text.c_str(), stdout);
  return doctor::weir_runs(findings) ? 0 : 1;
}
