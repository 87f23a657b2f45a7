// The tour itself, on the loop: each input is read on a thread of the pool, and what comes from there is sent.
//
//   file --read()--> chained_lines ==stream==> Destination --TCP--> Checker
//        pool thread                            loop                loop
//
// Each input has a chain of its own. Without --connect each has a connection of its own too, to a server that checks the
// chain; with --connect all go over one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "weir/bridge/iterable.h"
#include "weir/runtime/loop.h"
#include "weir/runtime/task.h"
#include "weir/tools/tour/producer.h"

namespace tour {

class Options {
 public:
  std::vector<std::string> inputs;  // "-": standard input
  std::string output;               // empty: none
  std::string connect;              // empty: to the tour's own server
};

// What came of one input.
class Leg {
 public:
  std::string input;
  std::string sent_to;
  ProducerNotes producer;
  weir::IterableStats stream;
  absl::Duration duration;
  std::string answer;  // empty: all inputs have one, the journey's
};

class Journey {
 public:
  std::vector<Leg> legs;
  std::string answer;       // with --connect
  weir::LoopStats loop;
  uint64_t batches = 0;     // of pieces, each one write
};

inline constexpr std::size_t kStreamMax = 256;  // pieces that may wait between the two threads

// Throws std::runtime_error, with one clear line, for everything that can be wrong with inputs, output and connection;
// and for a digest that the server finds wrong.
weir::Task<Journey> travel(Options options);

}  // namespace tour
