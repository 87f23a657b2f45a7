// runtime/ and bridge/ make no system call of their own beside io_uring's, the futex's and those of the Kernel table: the
// main paths run in a child process under a filter that kills at any other, and names it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "weir/runtime/io/unix.h"
#include "weir/tests/testing/child_process.h"
#include "weir/tests/testing/io.h"
#include "weir/weir.h"

namespace weir {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

struct Allowed {
  long number;
  const char* why;
};

constexpr Allowed kAllowed[] = {
    // The ring.
    {__NR_io_uring_setup, "Ring::create"},
    {__NR_io_uring_enter, "Ring::enter"},
    {__NR_io_uring_register, "the ring's descriptor, its probe, its start; Kernel"},
    // Where threads sleep.
    {__NR_futex, "bridge/futex.h; also joins of libc's"},
    {__NR_membarrier, "bridge/system_threads.h"},
    // The Kernel table.
    {__NR_eventfd2, "Kernel::make_eventfd"},
    {__NR_close, "Kernel::close, in destructors"},
    {__NR_sched_setaffinity, "Kernel::pin_thread"},
    {__NR_socket, "Kernel::socket"},
    {__NR_bind, "Kernel::bind"},
    {__NR_listen, "Kernel::listen"},
    {__NR_getsockname, "Kernel::local_address"},
    {__NR_getpeername, "Kernel::peer_address"},
    {__NR_setsockopt, "Kernel::set_option"},
    {__NR_getsockopt, "Kernel::get_option"},
    {__NR_poll, "Kernel::hung_up"},
    {__NR_fcntl, "Kernel::get_flags, set_flags"},
    {__NR_fstat, "Kernel::file_mode"},
    {__NR_newfstatat, "Kernel::file_mode, Kernel::identify, Ring::create, as libc makes them"},
    {__NR_ftruncate, "Kernel::system_call, on kernels without the request"},
    {__NR_ioctl, "Kernel::block_device_size"},
    {__NR_unlink, "Kernel::unlink"},
    {__NR_pipe2, "Kernel::make_pipe"},
    {__NR_rt_sigtimedwait, "Kernel::drop_sigpipe"},
    {__NR_getdents64, "Kernel::list_directory"},
    {__NR_getpid, "Kernel::process"},
    {__NR_clock_gettime, "Kernel's clocks, on machines whose vdso has none"},
    // The process, not the runtime: memory,
    {__NR_mmap, "the allocator, threads' stacks, the ring's queues"},
    {__NR_munmap, "the same"},
    {__NR_mprotect, "the allocator, threads' stacks"},
    {__NR_madvise, "the same; the word that tells a forked child"},
    {__NR_mremap, "the allocator"},
    {__NR_brk, "the allocator"},
    {__NR_getrandom, "the allocator's key"},
    // threads,
    {__NR_clone3, "pthread_create"},
    {__NR_clone, "the same, on kernels without clone3"},
    {__NR_set_robust_list, "a thread's start"},
    {__NR_rseq, "a thread's start"},
    {__NR_rt_sigprocmask, "pthread_create; Kernel::block_sigpipe"},
    {__NR_prctl, "a thread's name"},
    {__NR_gettid, "a thread's name, signals of libc's"},
    {__NR_sched_getaffinity, "std::thread::hardware_concurrency, a thread's attributes"},
    {__NR_exit, "a thread's end"},
    // and the program's end.
    {__NR_rt_sigaction, "entrypoint's signals"},
    {__NR_rt_sigreturn, "a signal handler's end"},
    {__NR_tgkill, "raise(), the test's own"},
    {__NR_exit_group, "the end"},
};

void name_the_call(int, siginfo_t* info, void*) {
  std::array<char, 64> line;
  const int size = std::snprintf(line.data(), line.size(), "system call %d is on no list\n", info->si_syscall);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), static_cast<std::size_t>(size));
  ::_exit(42);
}

constexpr int kForbiddenCall = 42;

// From here on only what is on the list, and writes of 8 bytes (the eventfd's) or to stderr.
bool allow_only_the_list() {
  struct sigaction action = {};
  action.sa_sigaction = &name_the_call;
  action.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return false;

  const auto load = [](std::size_t offset) { return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); };
  const auto skip_unless = [](long value, uint8_t count) {
    return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(value), 0, count);
  };
  const sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_filter trap = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  std::vector<sock_filter> filter{load(offsetof(seccomp_data, nr))};
  for (const Allowed& allowed : kAllowed) {
    filter.push_back(skip_unless(allowed.number, 1));
    filter.push_back(allow);
  }
  filter.push_back(skip_unless(__NR_write, 6));
  filter.push_back(load(offsetof(seccomp_data, args)));
  filter.push_back(skip_unless(STDERR_FILENO, 1));
  filter.push_back(allow);
  filter.push_back(load(offsetof(seccomp_data, args) + 2 * sizeof(uint64_t)));
  filter.push_back(skip_unless(sizeof(uint64_t), 1));
  filter.push_back(allow);
  filter.push_back(trap);
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int under_the_filter(int (*paths)(const std::string& folder)) {
  const testing::TemporaryFolder folder("/tmp");
  return testing::exit_status_of([&] {
    ::alarm(60);
    if (!allow_only_the_list()) return testing::kCannotTry;
    return paths(folder.path());
  });
}

class Failed {};
void check(bool holds) {
  if (!holds) throw Failed();
}

Task<> use_files(std::string folder) {
  const std::string path = folder + "/file";
  File file = (co_await File::open(path, O_RDWR | O_CREAT)).value();
  check((co_await file.write_all_at(as_bytes("hello"), 0)).ok());
  std::string text(5, '\0');
  check((co_await file.read_exact_at(writable_bytes(text), 0)).ok());
  check((co_await file.size()).value() == 5);
  check((co_await file.fsync()).ok());
  check((co_await file.truncate(2)).ok());
  check((co_await file.close()).ok());
  { const File dropped = (co_await File::open(path, O_RDONLY)).value(); }
  check((co_await File::open(folder + "/none", O_RDONLY)).status().code() == absl::StatusCode::kNotFound);
  check((co_await rename(path, folder + "/other")).ok());
  check((co_await unlink(folder + "/other")).ok());
}

template <class Listener, class Stream>
Task<> use_sockets(SocketAddress address) {
  Listener listener = Listener::bind(address).value();
  auto accepting = spawn(listener.accept());
  absl::StatusOr<Stream> connected = co_await Stream::connect(listener.local_address());
  absl::StatusOr<Stream> accepted = co_await std::move(accepting);
  Stream client = std::move(connected).value();
  Stream server = std::move(accepted).value();
  absl::Status status = co_await client.write_all(as_bytes("hello"));
  check(status.ok());
  std::string text(5, '\0');
  status = co_await server.read_exact(writable_bytes(text));
  check(status.ok());
  auto reading = spawn(server.read(writable_bytes(text)));
  co_await sleep_for(absl::Milliseconds(1));
  reading.cancel();
  try {
    (void)co_await std::move(reading);
    throw Failed();
  } catch (const Cancelled&) {
  }
  status = co_await client.shutdown();
  check(status.ok());
  const absl::StatusOr<std::size_t> end = co_await server.read(writable_bytes(text));
  check(end.ok() && *end == 0);
  status = co_await listener.close();
  check(status.ok());
}

Generator<int> count_to(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}
Task<int> twice(int n) {
  co_await yield();
  co_return 2 * n;
}

Task<> use_threads() {
  const auto add = threaded([](int a, int b) { return a + b; });
  check(co_await add(1, 2) == 3);
  const auto through_the_loop = threaded([] { return sync_await(twice, 21); });
  check(co_await through_the_loop() == 42);
  auto numbers = threaded_iterable(count_to, {.max_size = 2})(100);
  int expected = 0;
  while (const auto number = co_await numbers.next()) check(*number == expected++);
  check(expected == 100);
  co_await numbers.close();
  const auto apart = threaded_separate([](int n) { return n + 1; }, {.name = "apart"});
  check(co_await apart(1) == 2);
  FromThreadChannel<int> channel({.max_size = 2});
  auto putting = threaded([sender = channel.sender()] {
    for (int i = 0; i < 50; ++i) sender.put(i);
    sender.close();
  })();
  int got = 0;
  while (co_await channel.next()) ++got;
  check(got == 50);
  co_await std::move(putting);
}

int main_paths(const std::string& folder) {
  const auto all = [](std::string where) -> Task<int> {
    co_await use_files(where);
    co_await use_sockets<TcpListener, TcpStream>(testing::loopback());
    co_await use_sockets<UnixListener, UnixStream>(*SocketAddress::parse("unix:" + where + "/socket"));
    co_await use_threads();
    const absl::Status late = co_await timeout(absl::Milliseconds(1), sleep_for(absl::Hours(1)));
    check(absl::IsDeadlineExceeded(late));
    ::raise(SIGTERM);
    co_await sleep_for(absl::Hours(1));
    co_return 1;
  };
  return entrypoint({.pool_size = 2}, all(folder)) == 128 + SIGTERM ? 0 : 1;
}

TEST(SystemCalls, TheMainPathsMakeNoneThatIsOnNoList) {
  if (kSanitized) GTEST_SKIP() << "the sanitizers' own calls are many";
  const int status = under_the_filter(&main_paths);
  if (status == testing::kCannotTry) GTEST_SKIP() << "this system refuses seccomp filters";
  EXPECT_EQ(status, 0);
}

TEST(SystemCalls, TheFilterNoticesOthers) {
  if (kSanitized) GTEST_SKIP() << "the sanitizers' own calls are many";
  const int opened = under_the_filter([](const std::string& folder) {
    const int fd = ::open((folder + "/x").c_str(), O_RDONLY);
    return fd < 0 ? 1 : 0;
  });
  if (opened == testing::kCannotTry) GTEST_SKIP() << "this system refuses seccomp filters";
  EXPECT_EQ(opened, kForbiddenCall);
  const int wrote = under_the_filter([](const std::string&) { return ::write(STDOUT_FILENO, "12345", 5) == 5 ? 0 : 1; });
  EXPECT_EQ(wrote, kForbiddenCall);
}

}  // namespace
}  // namespace weir
