#include "weir/runtime/intrusive_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace weir::internal {
namespace {

struct Element {
  explicit Element(int n) : number(n) {}
  int number;
  Element* previous = nullptr;
  Element* following = nullptr;
};
using List = IntrusiveList<Element, &Element::previous, &Element::following>;

std::vector<int> numbers(const List& list) {
  std::vector<int> all;
  for (const Element* at = list.first(); at != nullptr; at = List::after(*at)) all.push_back(at->number);
  return all;
}

TEST(IntrusiveListTest, FirstInFirstOutAndOutOfTheMiddle) {
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  Element a(1), b(2), c(3), d(4);
  List list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.pop_front(), nullptr);
  for (Element* element : {&a, &b, &c, &d}) list.push_back(*element);
  EXPECT_THAT(numbers(list), ElementsAre(1, 2, 3, 4));
  list.remove(b);
  list.remove(d);
  EXPECT_THAT(numbers(list), ElementsAre(1, 3));
  list.push_back(b);
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_EQ(list.pop_front(), &c);
  EXPECT_EQ(list.pop_front(), &b);
  EXPECT_TRUE(list.empty());
  EXPECT_THAT(numbers(list), IsEmpty());
  list.push_back(a);
  EXPECT_EQ(list.first(), &a);
  EXPECT_EQ(a.previous, nullptr);
  EXPECT_EQ(a.following, nullptr);
}

}  // namespace
}  // namespace weir::internal
