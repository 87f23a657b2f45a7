// A thread that waits for a short time without sleeping, so that its own wake-up is not measured.
#pragma once

#include <cstdint>

#include "weir/tools/bench/side.h"

namespace weir::bench {

// From a thread's saying that it sleeps until it does, with a wide margin.
inline constexpr int64_t kFallAsleep_ns = 20'000;

inline void pause_for(int64_t pause_ns) {
  const int64_t until = now_ns() + pause_ns;
  do {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  } while (now_ns() < until);
}

}  // namespace weir::bench
