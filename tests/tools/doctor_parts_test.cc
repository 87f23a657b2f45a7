#include <gtest/gtest.h>

#include "weir/tools/doctor/report.h"

namespace doctor {
namespace {

TEST(DoctorsReport, IsWellFormed) {
  Findings findings;
  findings.emplace_back("a \"name\"", Verdict::kGap, "line\nback\\slash", "does this", "do that");
  EXPECT_EQ(as_json(findings),
            "{\"weir_runs\": true, \"findings\": [\n"
            "  {\"name\": \"a \\\"name\\\"\", \"verdict\": \"gap\", \"found\": \"line\\u000aback\\\\slash\", "
            "\"weir_does\": \"does this\", \"cure\": \"do that\"}\n]}\n");
  EXPECT_EQ(as_text({Finding("ring", Verdict::kBroken, "none")}),
            "broken  ring  none\nweir cannot run here.\n");
  EXPECT_FALSE(weir_runs({Finding("ring", Verdict::kBroken, "none")}));
}

}  // namespace
}  // namespace doctor
