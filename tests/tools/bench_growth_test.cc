// How tools/bench tells what grows.
#include <gmock/gmock.h>

#include <cmath>

#include "weir/tools/bench/growth.h"

namespace weir::bench {
namespace {

using ::testing::HasSubstr;

RowResult cost(const std::string& name, double ns) {
  RowResult row;
  row.name = name;
  row.what = "an item";
  SideResult side;
  side.value.value = ns;
  row.sides.push_back(side);
  return row;
}

TEST(GrowthTest, TakesTheRowsOfEachNameTogether) {
  RowResult failed;
  failed.name = "grow/b/1000";
  failed.failure = "no descriptors";
  const std::vector<RowResult> rows = {cost("task", 7), cost("grow/a/100", 10), cost("grow/a/1000", 25), cost("grow/b/100", 300), failed};
  const std::vector<Growth> found = growths(rows);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "a");
  EXPECT_EQ(found[0].costs.size(), 2u);
  EXPECT_EQ(found[0].costs[1].first, 1000u);
  EXPECT_EQ(found[0].factor(), 2.5);
  EXPECT_EQ(found[0].failure, "");
  EXPECT_EQ(found[1].factor(), 1);
  EXPECT_EQ(found[1].failure, "no descriptors");

  const std::string text = growth_as_text(rows);
  EXPECT_THAT(text, HasSubstr("a               10.0      25.0                                 2.5 x  an item\n"));
  EXPECT_THAT(text, HasSubstr("not measured: no descriptors"));
}

TEST(GrowthTest, NothingMeasuredIsNothingDrawn) {
  EXPECT_TRUE(std::isnan(Growth().factor()));
  EXPECT_EQ(draw_growth({cost("task", 7)}, "/nowhere.svg"), "nothing that grows was measured");
}

}  // namespace
}  // namespace weir::bench
