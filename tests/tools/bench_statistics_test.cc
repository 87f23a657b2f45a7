// Medians, intervals and goals of tools/bench.
#include <gtest/gtest.h>

#include <stdexcept>

#include "weir/tools/bench/row.h"
#include "weir/tools/bench/statistics.h"

namespace weir::bench {
namespace {

std::vector<double> upwards(int count) {
  std::vector<double> values;
  for (int i = 1; i <= count; ++i) values.push_back(i);
  return values;
}

TEST(MedianTest, OfOddAndEvenNumbers) {
  EXPECT_EQ(median_of({3, 1, 2}).value, 2);
  EXPECT_EQ(median_of({4, 1, 3, 2}).value, 2.5);
  EXPECT_EQ(median_of({7}).value, 7);
}

// The ranks are those of the tables for the sign test: n = 6: 1; n = 9: 2; n = 31: 10.
TEST(MedianTest, IntervalComesFromOrderStatistics) {
  const Median six = median_of(upwards(6));
  EXPECT_EQ(six.low, 1);
  EXPECT_EQ(six.high, 6);
  const Median nine = median_of(upwards(9));
  EXPECT_EQ(nine.low, 2);
  EXPECT_EQ(nine.high, 8);
  const Median many = median_of(upwards(31));
  EXPECT_EQ(many.low, 10);
  EXPECT_EQ(many.high, 22);
}

TEST(MedianTest, AnOutlierMovesNeitherMedianNorInterval) {
  std::vector<double> values = upwards(31);
  values.back() = 1e9;
  const Median median = median_of(values);
  EXPECT_EQ(median.value, 16);
  EXPECT_EQ(median.high, 22);
}

TEST(QuantileTest, TakesTheNearestValue) {
  EXPECT_EQ(quantile(upwards(101), 0), 1);
  EXPECT_EQ(quantile(upwards(101), 0.5), 51);
  EXPECT_EQ(quantile(upwards(101), 0.99), 100);
  EXPECT_EQ(quantile(upwards(101), 1), 101);
  EXPECT_EQ(quantile({5}, 0.99), 5);
}

// A side whose values are known.
MakeSide constant(double value) {
  class Constant final : public Side {
   public:
    explicit Constant(double always) : always_(always) {}
    Measured run(uint64_t) override {
      Measured measured(always_);
      measured.calls = 1;
      return measured;
    }

   private:
    double always_;
  };
  return [value] { return std::make_unique<Constant>(value); };
}

Row row_of(double weir, double raw) {
  Row row;
  row.name = "made up";
  row.count = 1;
  row.sides = {{"weir", constant(weir)}, {"raw", constant(raw)}};
  return row;
}

TEST(MeasureTest, TellsRatioAndDifferencePairByPair) {
  const RowResult result = measure(row_of(300, 200), Settings());
  ASSERT_EQ(result.sides.size(), 2U);
  EXPECT_EQ(result.rounds, 31);
  EXPECT_EQ(result.sides[0].value.value, 300);
  EXPECT_EQ(result.sides[1].ratio.value, 1.5);
  EXPECT_EQ(result.difference.value, 100);
  EXPECT_EQ(result.missed(), "") << "no goal, nothing to miss";
}

TEST(MeasureTest, AGoalIsMissedOnlyAboveItsLimit) {
  Row row = row_of(300, 200);
  row.goals.ratio = 1.5;
  row.goals.difference = 100;
  row.goals.value = 300;
  row.goals.calls = 1;
  EXPECT_EQ(measure(row, Settings()).missed(), "");
  row.goals.ratio = 1.49;
  EXPECT_EQ(measure(row, Settings()).missed(), "ratio");
  row.goals.difference = 99;
  row.goals.value = 299;
  row.goals.calls = 0;
  EXPECT_EQ(measure(row, Settings()).missed(), "ratio, difference, value, system calls");
}

TEST(MeasureTest, ASideThatCannotBeMadeIsAFailureOfItsRowOnly) {
  Row row = row_of(1, 1);
  row.sides[1].make = []() -> std::unique_ptr<Side> { throw std::runtime_error("no such thing here"); };
  const RowResult result = measure(row, Settings());
  EXPECT_EQ(result.failure, "no such thing here");
  EXPECT_EQ(result.missed(), "");
}

}  // namespace
}  // namespace weir::bench
