#include "weir/runtime/errors.h"

#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace weir {
namespace {

// Code that tidies up after failures must not swallow a cancellation.
TEST(ErrorsTest, CancelledPassesHandlersOfExceptions) {
  bool as_exception = false;
  bool as_cancelled = false;
  try {
    try {
      throw Cancelled();
    } catch (const std::exception&) {
      as_exception = true;
    }
  } catch (const Cancelled&) {
    as_cancelled = true;
  }
  EXPECT_FALSE(as_exception);
  EXPECT_TRUE(as_cancelled);
}

static_assert(!std::is_base_of_v<std::exception, Cancelled>);

// A mistake of the program is a logic_error; what depends on when the call was made is a runtime_error.
static_assert(std::is_base_of_v<std::logic_error, LookupError>);
static_assert(std::is_base_of_v<std::logic_error, DeadlockError>);
static_assert(std::is_base_of_v<std::runtime_error, LoopClosed>);
static_assert(std::is_base_of_v<std::runtime_error, PoolClosed>);

template <class Error>
std::string message_of() {
  try {
    throw Error("the mistake, and the way out");
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST(ErrorsTest, EachKeepsItsMessage) {
  EXPECT_EQ(message_of<LookupError>(), "the mistake, and the way out");
  EXPECT_EQ(message_of<DeadlockError>(), "the mistake, and the way out");
  EXPECT_EQ(message_of<LoopClosed>(), "the mistake, and the way out");
  EXPECT_EQ(message_of<PoolClosed>(), "the mistake, and the way out");
}

}  // namespace
}  // namespace weir
