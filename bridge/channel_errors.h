// What is thrown where items go from a thread to a loop.
#pragma once

#include <stdexcept>

namespace weir {

// Nobody takes items any more, or none come any more.
class ChannelClosed : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// No item came in time.
class ChannelTimeout : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace weir
