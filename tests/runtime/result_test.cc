// g++ 12 does not see that a union's member is destroyed only where it was made.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "weir/runtime/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <utility>

namespace weir::internal {
namespace {

TEST(ResultTest, Values) {
  Result<std::shared_ptr<int>> result;
  EXPECT_FALSE(result.has_value());
  EXPECT_EQ(result.failure(), nullptr);
  auto counted = std::make_shared<int>(1);
  result.set_value(counted);
  EXPECT_TRUE(result.has_value());
  EXPECT_EQ(counted.use_count(), 2);
  EXPECT_EQ(result.value(), counted);
  EXPECT_EQ(result.take(), counted);
  EXPECT_EQ(counted.use_count(), 1);
  result.reset();
  EXPECT_FALSE(result.has_value());
}

TEST(ResultTest, DestroysWhatItHolds) {
  auto counted = std::make_shared<int>(1);
  {
    Result<std::shared_ptr<int>> result;
    result.set_value(counted);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(ResultTest, References) {
  int target = 0;
  Result<int&> lvalue;
  lvalue.set_value(target);
  EXPECT_EQ(&lvalue.take(), &target);
  EXPECT_EQ(&lvalue.value(), &target);
  Result<int&&> rvalue;
  rvalue.set_value(std::move(target));
  int&& taken = rvalue.take();
  EXPECT_EQ(&taken, &target);
}

template <class T>
void rethrows_the_same() {
  Result<T> result;
  const auto failure = std::make_exception_ptr(std::runtime_error("x"));
  result.set_failure(failure);
  EXPECT_EQ(result.failure(), failure);
  EXPECT_FALSE(result.has_value());
  for (int i = 0; i < 2; ++i) {
    try {
      (void)result.take();
      ADD_FAILURE() << "nothing thrown";
    } catch (...) {
      EXPECT_EQ(std::current_exception(), failure);
    }
  }
  result.reset();
  EXPECT_EQ(result.failure(), nullptr);
}

TEST(ResultTest, TakesOverWhatAnotherEndedWith) {
  Result<std::unique_ptr<int>> from, to;
  EXPECT_TRUE(to.empty());
  from.set_value(std::make_unique<int>(5));
  to.take_over(from);
  EXPECT_TRUE(from.empty());
  EXPECT_EQ(*to.take(), 5);
  Result<std::unique_ptr<int>> failed, after;
  const std::exception_ptr failure = std::make_exception_ptr(std::runtime_error("x"));
  failed.set_failure(failure);
  after.take_over(failed);
  EXPECT_TRUE(failed.empty());
  EXPECT_EQ(after.failure(), failure);

  int target = 0;
  Result<int&> reference, other;
  reference.set_value(target);
  other.take_over(reference);
  EXPECT_TRUE(reference.empty());
  EXPECT_EQ(&other.take(), &target);
  Result<void> done, told;
  done.set_value();
  told.take_over(done);
  EXPECT_TRUE(done.empty() && told.has_value());
}

TEST(ResultTest, AValueThatCannotMoveIsAFailure) {
  struct Sticky {
    Sticky() = default;
    Sticky(Sticky&&) { throw std::runtime_error("sticky"); }
  };
  Result<Sticky> to;
  {
    Result<Sticky> from;
    struct Makes {
      operator Sticky() const { return {}; }
    };
    from.set_value(Makes());
    to.take_over(from);
    EXPECT_TRUE(from.empty());
  }
  EXPECT_NE(to.failure(), nullptr);
}

TEST(ResultTest, Failures) {
  rethrows_the_same<int>();
  rethrows_the_same<int&>();
  rethrows_the_same<void>();
  rethrows_the_same<std::unique_ptr<int>>();
}

}  // namespace
}  // namespace weir::internal
