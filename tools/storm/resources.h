// What this process holds of the system, to see that all of it comes back.
#pragma once

#include <string>

namespace storm {

struct Resources {
  int descriptors = 0;
  int threads = 0;
  long heap_bytes = 0;  // in use; 0 where the allocator does not say (sanitizers)
};

Resources resources();

// What is held now and was not before; empty if nothing. Threads that have just ended may take an instant to be gone: it
// waits for them. The allocator's count may grow a little, by what is kept for the next time.
std::string lost_since(const Resources& before);

}  // namespace storm
