#include "weir/runtime/kernel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>

#include "weir/tests/testing/child_process.h"

namespace weir::internal {
namespace {

Kernel& kernel() { return Kernel::system(); }

TEST(Kernel, ClocksAreTheSystems) {
  const int64_t before = kernel().monotonic_ns();
  timespec now;
  ASSERT_EQ(::clock_gettime(CLOCK_MONOTONIC, &now), 0);
  const int64_t between = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  EXPECT_LE(before, between);
  EXPECT_LE(between, kernel().monotonic_ns());
  EXPECT_GT(kernel().realtime_ns(), int64_t{1'500'000'000} * 1'000'000'000);
}

TEST(Kernel, TheEventfdCountsAndClosesOnExec) {
  const int fd = kernel().make_eventfd();
  ASSERT_GE(fd, 0);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(kernel().write_eventfd(fd), 8);
  EXPECT_EQ(kernel().write_eventfd(fd), 8);
  uint64_t count = 0;
  EXPECT_EQ(::read(fd, &count, sizeof count), 8);
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(kernel().close(fd), 0);
  EXPECT_EQ(kernel().close(fd), -EBADF);
  EXPECT_EQ(kernel().write_eventfd(fd), -EBADF);
}

TEST(Kernel, PinsTheCallingThread) {
  EXPECT_EQ(kernel().pin_thread(-1), -EINVAL);
  EXPECT_EQ(kernel().pin_thread(CPU_SETSIZE), -EINVAL);
  const int cpu = ::sched_getcpu();
  ASSERT_GE(cpu, 0);
  EXPECT_EQ(testing::exit_status_of([cpu] {
              if (kernel().pin_thread(cpu) != 0) return 1;
              cpu_set_t set;
              if (::sched_getaffinity(0, sizeof set, &set) != 0) return 2;
              return CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set) ? 0 : 3;
            }),
            0);
}

TEST(Kernel, SocketsBindListenAndTellTheirAddress) {
  const int fd = kernel().socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(fd, 0);
  const int on = 1;
  EXPECT_EQ(kernel().set_option(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(kernel().bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(kernel().listen(fd, 4), 0);
  sockaddr_in bound{};
  socklen_t size = sizeof bound;
  EXPECT_EQ(kernel().local_address(fd, reinterpret_cast<sockaddr*>(&bound), &size), 0);
  EXPECT_NE(bound.sin_port, 0);
  EXPECT_EQ(kernel().peer_address(fd, reinterpret_cast<sockaddr*>(&bound), &size), -ENOTCONN);
  int listening = 0;
  socklen_t option_size = sizeof listening;
  EXPECT_EQ(kernel().get_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &option_size), 0);
  EXPECT_EQ(listening, 1);
  const int flags = kernel().get_flags(fd);
  EXPECT_EQ(flags & O_NONBLOCK, 0);
  EXPECT_EQ(kernel().set_flags(fd, flags | O_NONBLOCK), 0);
  EXPECT_NE(kernel().get_flags(fd) & O_NONBLOCK, 0);
  EXPECT_EQ(kernel().close(fd), 0);
}

TEST(Kernel, KnowsAConnectionThatHungUp) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  EXPECT_FALSE(kernel().hung_up(ends[0]));
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_FALSE(kernel().hung_up(ends[0]));
  EXPECT_EQ(kernel().close(ends[1]), 0);
  EXPECT_TRUE(kernel().hung_up(ends[0]));
  EXPECT_EQ(kernel().close(ends[0]), 0);
}

TEST(Kernel, ErrorsAreNegativeErrnos) {
  EXPECT_EQ(kernel().socket(-1, 0, 0), -EAFNOSUPPORT);
  EXPECT_EQ(kernel().listen(-1, 1), -EBADF);
  EXPECT_EQ(kernel().get_flags(-1), -EBADF);
  EXPECT_EQ(kernel().unlink("/no/such/file"), -ENOENT);
}

}  // namespace
}  // namespace weir::internal
