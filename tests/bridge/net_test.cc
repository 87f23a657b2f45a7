#include "weir/bridge/net.h"

#include <gtest/gtest.h>

#include "weir/weir.h"

namespace weir {
namespace {

TEST(Net, ResolvesAnAddressAndAPort) {
  const auto addresses = run(resolve("127.0.0.1", "80"));
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_EQ(addresses->size(), 1u);
  EXPECT_EQ((*addresses)[0].to_string(), "127.0.0.1:80");
}

TEST(Net, SaysWhatCannotBeResolved) {
  const auto addresses = run(resolve("127.0.0.1", "no-such-service"));
  ASSERT_FALSE(addresses.ok());
  EXPECT_NE(addresses.status().ToString().find("resolve 127.0.0.1 no-such-service"), std::string::npos)
      << addresses.status();
}

}  // namespace
}  // namespace weir
