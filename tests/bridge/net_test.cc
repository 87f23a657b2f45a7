#include "weir/bridge/net.h"

#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>

#include "weir/weir.h"

namespace weir {
namespace {

TEST(Net, ResolvesAnAddressAndAPort) {
  const auto addresses = run(resolve("127.0.0.1", "80"));
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_EQ(addresses->size(), 1u);
  EXPECT_EQ((*addresses)[0].to_string(), "127.0.0.1:80");
}

TEST(Net, ResolvesAnAddressOfTheOtherFamily) {
  const auto addresses = run(resolve("::1", "80"));
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_EQ(addresses->size(), 1u);
  EXPECT_EQ((*addresses)[0].to_string(), "[::1]:80");
}

// As many as the system gives.
TEST(Net, GivesEveryAddress) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo("localhost", "80", &hints, &found) != 0) GTEST_SKIP() << "this machine does not know itself";
  std::size_t count = 0;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) ++count;
  ::freeaddrinfo(found);
  const auto addresses = run(resolve("localhost", "80"));
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->size(), count);
}

TEST(Net, SaysWhatCannotBeResolved) {
  const auto addresses = run(resolve("127.0.0.1", "no-such-service"));
  ASSERT_FALSE(addresses.ok());
  EXPECT_NE(addresses.status().ToString().find("resolve 127.0.0.1 no-such-service"), std::string::npos)
      << addresses.status();
}

}  // namespace
}  // namespace weir
