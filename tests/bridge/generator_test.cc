#include "weir/bridge/generator.h"

#include <gtest/gtest.h>

#include <concepts>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

static_assert(std::ranges::input_range<Generator<int>>);
static_assert(std::ranges::view<Generator<int>>);
static_assert(!std::ranges::forward_range<Generator<int>>);
static_assert(std::movable<Generator<int>> && !std::copyable<Generator<int>>);
static_assert(std::same_as<std::ranges::range_reference_t<Generator<int>>, int&&>);
static_assert(std::same_as<std::ranges::range_reference_t<Generator<int&>>, int&>);
static_assert(std::same_as<std::ranges::range_reference_t<Generator<const int&>>, const int&>);
static_assert(std::same_as<std::ranges::range_value_t<Generator<const std::string&>>, std::string>);

// Counts the living; two of the same life at once, or one too many destroyed, shows.
class Alive {
 public:
  explicit Alive(int& count) : count_(&count) { ++*count_; }
  Alive(const Alive& other) : count_(other.count_) { ++*count_; }
  Alive& operator=(const Alive&) = delete;
  ~Alive() { --*count_; }

 private:
  int* count_;
};

Generator<int> count_to(int end) {
  for (int i = 0; i < end; ++i) co_yield i;
}

template <class Range>
auto collect(Range&& range) {
  std::vector<std::ranges::range_value_t<Range>> items;
  for (auto&& item : range) items.push_back(std::forward<decltype(item)>(item));
  return items;
}

TEST(Generator, HandsOutItemsInOrder) {
  EXPECT_EQ(collect(count_to(4)), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_TRUE(collect(count_to(0)).empty());
}

TEST(Generator, RunsNothingBeforeBegin) {
  bool ran = false;
  auto body = [](bool* flag) -> Generator<int> {
    *flag = true;
    co_yield 1;
  };
  Generator<int> items = body(&ran);
  EXPECT_FALSE(ran);
  EXPECT_EQ(*items.begin(), 1);
  EXPECT_TRUE(ran);
}

TEST(Generator, BeginAgainStaysAtItsItem) {
  Generator<int> items = count_to(3);
  auto it = items.begin();
  ++it;
  EXPECT_EQ(*items.begin(), 1);
  EXPECT_EQ(collect(items), (std::vector<int>{1, 2}));
  EXPECT_TRUE(items.begin() == items.end());
}

TEST(Generator, AnEmptyOneIsAnEmptyRange) {
  Generator<int> items;
  EXPECT_TRUE(items.begin() == items.end());
  items = count_to(2);
  Generator<int> taken = std::move(items);
  EXPECT_TRUE(items.begin() == items.end());
  EXPECT_EQ(collect(taken), (std::vector<int>{0, 1}));
}

TEST(Generator, MoveOnlyItems) {
  auto body = [](int n) -> Generator<std::unique_ptr<int>> {
    for (int i = 0; i < n; ++i) {
      co_yield std::make_unique<int>(i);
      auto named = std::make_unique<int>(10 + i);
      co_yield std::move(named);
    }
  };
  std::vector<int> seen;
  for (std::unique_ptr<int> item : body(2)) seen.push_back(*item);
  EXPECT_EQ(seen, (std::vector<int>{0, 10, 1, 11}));
}

TEST(Generator, AYieldedLvalueStaysTheBodys) {
  auto body = []() -> Generator<std::string> {
    std::string word = "a string that is too long for the small buffer";
    co_yield word;
    co_yield word;
    const std::string fixed = "c";
    co_yield fixed;
    co_yield "converted";
  };
  EXPECT_EQ(collect(body()), (std::vector<std::string>{"a string that is too long for the small buffer",
                                                       "a string that is too long for the small buffer", "c",
                                                       "converted"}));
}

TEST(Generator, ReferencesAreTheVeryObjects) {
  std::vector<int> numbers{1, 2, 3};
  auto body = [](std::vector<int>& all) -> Generator<int&> {
    for (int& number : all) co_yield number;
  };
  for (int& number : body(numbers)) number *= 10;
  EXPECT_EQ(numbers, (std::vector<int>{10, 20, 30}));

  auto constant = [](const std::vector<int>& all) -> Generator<const int&> {
    for (const int& number : all) co_yield number;
  };
  const int* first = nullptr;
  for (const int& number : constant(numbers)) {
    first = &number;
    break;
  }
  EXPECT_EQ(first, &numbers[0]);
}

TEST(Generator, CopiesAndTemporariesAreDestroyedOnce) {
  int alive = 0;
  auto body = [](int* count) -> Generator<Alive> {
    Alive kept(*count);
    co_yield kept;
    co_yield Alive(*count);
    co_yield std::move(kept);
  };
  int items = 0;
  for (Alive item : body(&alive)) {
    EXPECT_GT(alive, 0);
    ++items;
  }
  EXPECT_EQ(items, 3);
  EXPECT_EQ(alive, 0);
}

Generator<int> fails_at(int when, int* alive) {
  Alive guard(*alive);
  for (int i = 0;; ++i) {
    if (i == when) throw std::runtime_error("at " + std::to_string(when));
    co_yield i;
  }
}

TEST(Generator, AnExceptionComesOutOfBegin) {
  int alive = 0;
  Generator<int> items = fails_at(0, &alive);
  EXPECT_THROW(items.begin(), std::runtime_error);
  EXPECT_EQ(alive, 0);
  EXPECT_TRUE(items.begin() == items.end());
}

TEST(Generator, AnExceptionComesOutOfIncrementAfterTheItemsBeforeIt) {
  int alive = 0;
  Generator<int> items = fails_at(2, &alive);
  auto it = items.begin();
  EXPECT_EQ(*it, 0);
  ++it;
  EXPECT_EQ(*it, 1);
  try {
    ++it;
    FAIL() << "nothing thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "at 2");
  }
  EXPECT_EQ(alive, 0);
  EXPECT_TRUE(it == items.end());
}

TEST(Generator, AnExceptionOfAnyTypePasses) {
  auto body = []() -> Generator<int> {
    co_yield 1;
    throw 7;
  };
  Generator<int> items = body();
  auto it = items.begin();
  try {
    ++it;
    FAIL() << "nothing thrown";
  } catch (int thrown) {
    EXPECT_EQ(thrown, 7);
  }
}

TEST(Generator, DestroyingItMidwayReleasesWhatItsBodyHolds) {
  int alive = 0;
  {
    Generator<int> items = fails_at(100, &alive);
    auto it = items.begin();
    ++it;
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
  {
    Generator<int> items = fails_at(100, &alive);
    EXPECT_EQ(*items.begin(), 0);
    items = count_to(1);
    EXPECT_EQ(alive, 0);
  }
}

TEST(Generator, ArgumentsLiveInTheFrame) {
  auto body = [](std::string word, int times) -> Generator<std::string_view> {
    for (int i = 0; i < times; ++i) co_yield std::string_view(word);
  };
  for (std::string_view word : body(std::string(100, 'x'), 2)) EXPECT_EQ(word.size(), 100u);
}

TEST(Generator, PipesThroughViews) {
  auto doubled = count_to(6) | std::views::filter([](int i) { return i % 2 == 0; }) |
                 std::views::transform([](int i) { return i * 2; });
  std::vector<int> seen;
  for (int item : doubled) seen.push_back(item);
  EXPECT_EQ(seen, (std::vector<int>{0, 4, 8}));
}

TEST(Generator, MovesToAnotherThreadBetweenItems) {
  Generator<int> items = count_to(4);
  auto it = items.begin();
  ++it;
  std::vector<int> rest;
  std::thread([&rest, moved = std::move(items)]() mutable { rest = collect(moved); }).join();
  EXPECT_EQ(rest, (std::vector<int>{1, 2, 3}));
}

// What the body threw is its catcher's alone.
class Failure : public std::runtime_error {
 public:
  explicit Failure(std::shared_ptr<int> own) : std::runtime_error("failure"), own_(std::move(own)) {}

 private:
  std::shared_ptr<int> own_;
};

Generator<int> fail_with(std::shared_ptr<int> own) {
  throw Failure(std::move(own));
  co_yield 0;
}

TEST(Generator, KeepsNothingOfAnExceptionThatWasThrown) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  Generator<int> items = fail_with(std::move(held));
  EXPECT_THROW((void)items.begin(), Failure);
  EXPECT_TRUE(watch.expired());
  EXPECT_TRUE(items.begin() == items.end());
}

}  // namespace
}  // namespace weir
