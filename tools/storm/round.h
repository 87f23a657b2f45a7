// One storm from beginning to end: a loop, a neighbour on a thread of its own, a pool, all of them gone afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weir/tools/storm/primitives.h"

namespace storm {

struct Round {
  uint64_t operations = 0;
  uint64_t cancelled = 0;
  std::vector<std::string> findings;  // empty: all was well
};

// The seed decides what is done, and whether the loop is ended in the middle of it.
Round run_round(const Primitive& primitive, uint64_t seed, int operations);

}  // namespace storm
