// How tools/bench reads what load generators print.
#include <gtest/gtest.h>

#include <cmath>

#include "weir/tools/bench/services/load.h"

namespace weir::bench {
namespace {

constexpr char kWrk[] = R"(Running 1s test @ http://127.0.0.1:8080/file.txt
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   640.22us  350.00us   7.02ms   90.00%
    Req/Sec    82.10k     3.00k   85.00k    70.00%
  Latency Distribution
     50%  533.00us
     75%  700.00us
     90%    1.10ms
     99%    2.50ms
  82113 requests in 1.00s, 92.00MB read
Requests/sec:  82100.50
Transfer/sec:     92.00MB
)";

TEST(ParseWrk, TakesRateAndLatency) {
  const auto load = parse_wrk(kWrk);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->rate, 82100.5);
  EXPECT_EQ(load->requests, 82113);
  EXPECT_EQ(load->p50_us, 533);
  EXPECT_EQ(load->p99_us, 2500);
}

TEST(ParseWrk, TakesSecondsToo) {
  const auto load = parse_wrk("     50%    1.25s \nRequests/sec:      3.00\n");
  ASSERT_TRUE(load);
  EXPECT_EQ(load->p50_us, 1.25e6);
  EXPECT_TRUE(std::isnan(load->p99_us));
}

TEST(ParseWrk, RefusesErrorsAndOtherTexts) {
  EXPECT_FALSE(parse_wrk(""));
  EXPECT_FALSE(parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n"));
  EXPECT_FALSE(parse_wrk(std::string(kWrk) + "  Non-2xx or 3xx responses: 7\n"));
  EXPECT_FALSE(parse_wrk("  Socket errors: connect 0, read 3, write 0, timeout 0\n" + std::string(kWrk)));
}

TEST(ParseRedisBenchmark, TakesNewAndOldForms) {
  const auto load = parse_redis_benchmark(
      "WARNING: Could not fetch server CONFIG\n"
      "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n"
      "\"SET\",\"64935.07\",\"0.511\",\"0.088\",\"0.263\",\"0.919\",\"4.623\",\"9.159\"\n");
  ASSERT_TRUE(load);
  EXPECT_EQ(load->rate, 64935.07);
  EXPECT_EQ(load->p50_us, 263);
  EXPECT_EQ(load->p99_us, 4623);
  const auto old = parse_redis_benchmark("\"SET\",\"1000.5\"\r\n");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->rate, 1000.5);
  EXPECT_TRUE(std::isnan(old->p50_us));
}

TEST(ParseRedisBenchmark, RefusesErrorsAndOtherTexts) {
  EXPECT_FALSE(parse_redis_benchmark(""));
  EXPECT_FALSE(parse_redis_benchmark("Could not connect to Redis at 127.0.0.1:1: Connection refused\n"));
  EXPECT_FALSE(parse_redis_benchmark("\"SET\",\"fast\"\n"));
}

}  // namespace
}  // namespace weir::bench
