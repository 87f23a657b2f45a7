// Random numbers of a storm: all of them come from its seed (the order in which threads take turns does not).
#pragma once

#include <cstdint>

namespace storm {

// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
  }
  // 0 to limit - 1.
  int below(int limit) { return static_cast<int>(next() % static_cast<uint64_t>(limit)); }
  bool one_in(int n) { return below(n) == 0; }
  // For somebody else.
  Random split() { return Random(next()); }

 private:
  uint64_t state_;
};

}  // namespace storm
