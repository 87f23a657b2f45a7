// The blocking half of the tour, on a thread of the pool: reads a file line by line and chains an MD5 over the lines.
//
//   auto pieces = weir::threaded_iterable(chained_lines, {.max_size = 256});
//   auto it = pieces(path, notes);
//
// Yields "digest TAB line" for each line, as it was read, newline included: the digest is that of all lines up to it.
// Throws what Input and Line throw.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "weir/tools/tour/line.h"
#include "weir/bridge/generator.h"

namespace tour {

// What the producer tells of itself. The loop may read it when the stream has ended.
class ProducerNotes {
 public:
  std::string thread;   // name
  pid_t thread_id = 0;
  uint64_t lines = 0;
  uint64_t bytes = 0;
  uint64_t reads = 0;
  uint64_t waits = 0;   // for input, on the loop
  bool finished = false;
};

// `stop` is set when nobody wants more: it is looked at within a long line, where there is no co_yield.
weir::Generator<Piece> chained_lines(std::stop_token stop, std::string path, std::shared_ptr<ProducerNotes> notes);

// The calling thread's.
std::string thread_name();

}  // namespace tour
