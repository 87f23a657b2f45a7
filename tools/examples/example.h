// What the example programs share: how they are listed and run, their seconds, print() and check().
//
//   namespace basic_usage {  // 000-1
//   weir::Task<> main() { examples::print(co_await blocking_function()); }
//   }
//   {"000-1", "two blocking calls side by side", examples::run<basic_usage::main>}
//
// An example's id is its document and its number in it: 000 aiomisc's "Working with threads" (002 is the same text), 001
// the README of aiothreads 1.1.1, 003 an older edition of 000, 004 the README of aiothreads 1.0.0.
#pragma once

#include <source_location>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/time/time.h"
#include "weir/bridge/entrypoint.h"
#include "weir/tools/examples/print.h"

namespace examples {

using Arguments = std::vector<std::string>;  // what stands behind the id on the command line

struct Example {
  const char* id;
  const char* title;
  void (*run)(const Arguments& arguments);
};

using Section = std::span<const Example>;

// The program of an example: its main() on a loop, as Python's asyncio.run(main()).
template <auto main>
void run(const Arguments& arguments) {
  if constexpr (std::is_invocable_v<decltype(main), const Arguments&>) {
    weir::run(main(arguments));
  } else {
    weir::run(main());
  }
}

// How long the documents' `count` seconds last: --second says how long one does.
absl::Duration seconds(double count);
void set_second(absl::Duration length);

// The documents' assert: std::runtime_error, with the place, when it does not hold.
void check(bool holds, std::source_location place = std::source_location::current());

// A file name that is nobody else's, in the system's folder for such.
std::string temporary_path(const std::string& name);

// The sections, in the order of the documents.
Section threaded_000();
Section threaded_separate_000();
Section iterators_000();
Section iterator_wrappers_000();
Section sync_await_000();
Section channel_000();
Section context_and_pool_000();
Section overview_001();
Section threads_001();
Section generators_001();
Section generator_threads_001();
Section sync_await_001();
Section advanced_001();
Section context_003();
Section blockchain_003();
Section wrappers_003();
Section interface_004();
Section streams_004();

}  // namespace examples
