// The example programs of the documents of aiothreads and aiomisc, in C++.
//
//   bazel run //tools:examples -- --list              what there is
//   bazel run //tools:examples -- 000-4               runs one, or several
//   bazel run //tools:examples -- --second=50ms 000-4    with short sleeps
//
// Exit status: 0; 1 after one line on standard error.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "weir/tools/examples/example.h"

ABSL_FLAG(bool, list, false, "print the examples instead of running one");
ABSL_FLAG(absl::Duration, second, absl::Seconds(1), "how long a second of the documents' sleeps lasts");

namespace {

std::vector<examples::Example> all_examples() {
  std::vector<examples::Example> all;
  for (const auto section : {
           examples::threaded_000,          examples::threaded_separate_000, examples::iterators_000,
           examples::iterator_wrappers_000, examples::sync_await_000,        examples::channel_000,
           examples::context_and_pool_000,  examples::overview_001,          examples::threads_001,
           examples::generators_001,        examples::generator_threads_001, examples::sync_await_001,
           examples::advanced_001,          examples::context_003,           examples::blockchain_003,
           examples::wrappers_003,          examples::interface_004,         examples::streams_004,
       }) {
    const examples::Section items = section();
    all.insert(all.end(), items.begin(), items.end());
  }
  return all;
}

// Programs of one document that another has, too. Those of 002 are those of 000.
std::string first_of_its_kind(std::string id) {
  static const std::map<std::string, std::string> same{
      {"001-6", "000-2"},   {"003-2", "000-1"},   {"003-3", "000-4"},   {"003-5", "003-4"},   {"003-9", "000-15"},
      {"004-1", "001-1"},   {"004-2", "001-2"},   {"004-4", "001-4"},   {"004-5", "001-5"},   {"004-6", "000-2"},
      {"004-9", "001-8"},   {"004-11", "000-2"},  {"004-12", "004-7"},  {"004-13", "001-9"},  {"004-17", "001-13"},
      {"004-19", "001-15"}, {"004-20", "001-16"}, {"004-22", "001-17"}, {"004-23", "001-18"}, {"004-24", "001-20"},
      {"004-25", "001-21"},
  };
  if (id.starts_with("002-")) id[2] = '0';
  const auto found = same.find(id);
  return found == same.end() ? id : found->second;
}

// An argument that is an id: three digits, a dash, a number.
bool is_id(std::string_view word) { return word.size() >= 5 && word.find_first_not_of("0123456789") == 3 && word[3] == '-'; }

int run(const std::string& id, const examples::Arguments& arguments) {
  const std::string wanted = first_of_its_kind(id);
  for (const examples::Example& example : all_examples()) {
    if (wanted != example.id) continue;
    try {
      example.run(arguments);
      return 0;
    } catch (const std::exception& failure) {
      std::fprintf(stderr, "examples: %s: %s\n", id.c_str(), failure.what());
      return 1;
    }
  }
  std::fprintf(stderr, "examples: there is no %s; --list shows what there is\n", id.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "runs the example programs of the documents of aiothreads and aiomisc.\n"
      "usage: examples [--second=DURATION] ID [ARGUMENT]...\n"
      "       examples --list");
  const std::vector<char*> words = absl::ParseCommandLine(argc, argv);
  if (absl::GetFlag(FLAGS_list)) {
    for (const examples::Example& example : all_examples()) std::printf("%-7s %s\n", example.id, example.title);
    return 0;
  }
  examples::set_second(absl::GetFlag(FLAGS_second));
  if (words.size() < 2) {
    std::fputs("examples: which one? --list shows what there is\n", stderr);
    return 1;
  }
  // `bazel run` starts programs elsewhere, and says where it was started itself.
  const char* directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (directory != nullptr && ::chdir(directory) != 0) std::perror("examples: BUILD_WORKING_DIRECTORY");
  for (std::size_t i = 1; i < words.size();) {
    const std::string id = words[i++];
    examples::Arguments arguments;
    while (i < words.size() && !is_id(words[i])) arguments.push_back(words[i++]);
    if (const int status = run(id, arguments); status != 0) return status;
  }
  return 0;
}
