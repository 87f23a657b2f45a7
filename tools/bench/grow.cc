// Sizes that grow by powers of ten: what an item costs while so many of them are there at once.

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "weir/bridge/generator.h"
#include "weir/bridge/iterable.h"
#include "weir/runtime/io/poll.h"
#include "weir/runtime/io/unix.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/sync/latch.h"
#include "weir/runtime/task_group.h"
#include "weir/tools/bench/answer.h"
#include "weir/tools/bench/deadlines.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {
namespace {

Task<> spawn_all(uint64_t size) {
  TaskGroup group;
  const auto nothing = []() -> Task<> { co_return; };
  for (uint64_t i = 0; i < size; ++i) group.spawn(nothing());
  co_await group.join();
}

Task<> post_all(uint64_t size) {
  const LoopHandle handle = LoopHandle::current();
  Latch ended(static_cast<std::ptrdiff_t>(size));
  for (uint64_t i = 0; i < size; ++i) handle.post([&ended] { ended.count_down(); });
  co_await ended.wait();
}

Generator<uint64_t> numbers(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) co_yield i;
}

Task<> read_stream(uint64_t items) {
  auto it = threaded_iterable(numbers, {.max_size = 1024})(items);
  uint64_t sum = 0;
  while (const std::optional<uint64_t> item = co_await it.next()) sum += *item;
  if (sum != items * (items - 1) / 2) throw std::logic_error("the stream has lost items");
}

constexpr uint64_t kItemsOfEach = 100;

Task<> read_streams(uint64_t size) {
  TaskGroup group;
  for (uint64_t i = 0; i < size; ++i) group.spawn(read_stream(kItemsOfEach));
  co_await group.join();
}

// Again and again until there were `count` items, `size` of them at once.
MakeSide repeated(uint64_t size, Task<> (*work)(uint64_t)) {
  return on_loop([size, work](uint64_t count) -> Task<> {
    for (uint64_t done = 0; done < count; done += size) co_await work(size);
  });
}

// Open connections, each with a task that answers. A child process is at their other ends: a process has few descriptors.
class Connections final : public Side {
 public:
  explicit Connections(uint64_t size) {
    std::array<int, 2> control;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control.data()) != 0) throw std::runtime_error("socketpair");
    control_ = control[0];
    allow_descriptors(size + 200);
    const std::string name = absl::StrCat("unix:@weir-bench-", ::getpid(), "-", size);
    auto listener = UnixListener::bind(*SocketAddress::parse(name));
    if (!listener.ok()) throw std::runtime_error(std::string(listener.status().message()));
    std::vector<int> clients(size);
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("fork");  // else nobody would ever connect
    if (child_ == 0) {
      ::close(control_);  // else it would never see its end
      be_the_clients(listener->local_address(), clients, control[1]);
    }
    ::close(control[1]);
    loop_->run(accept_all(*std::move(listener), size));
  }
  ~Connections() override {
    ::close(control_);
    ::waitpid(child_, nullptr, 0);
  }

  // What is compared is this process's CPU time alone.
  Measured run(uint64_t count) override {
    const auto ask = [](int control, uint64_t requests) -> Task<> {
      if (::write(control, &requests, sizeof requests) != sizeof requests) throw std::runtime_error("the clients have gone");
      const absl::StatusOr<short> events = co_await poll(control, POLLIN);
      if (!events.ok() || ::read(control, &requests, sizeof requests) != sizeof requests) throw std::runtime_error("the clients have failed");
    };
    const Measured measured = time_of(count, [&] { loop_->run(ask(control_, count)); });
    return Measured(measured.cpu_ns);
  }

 private:
  static constexpr uint64_t kAtOnce = 50;

  static void allow_descriptors(rlim_t count) {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= count) return;
    limit.rlim_cur = count;
    if (limit.rlim_max < count || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      throw std::runtime_error(absl::StrCat("needs ", count, " descriptors, more than the hard limit of RLIMIT_NOFILE"));
    }
  }

  // System calls only: other threads of this process may hold locks.
  [[noreturn]] static void be_the_clients(const SocketAddress& address, std::vector<int>& fds, int control) {
    for (int& fd : fds) {
      fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      if (::connect(fd, address.data(), address.size()) != 0) ::_exit(1);
    }
    uint64_t next = 0;
    for (uint64_t count; ::read(control, &count, sizeof count) == sizeof count;) {
      for (uint64_t done = 0; done < count; done += kAtOnce, next += kAtOnce) {
        char byte = 'x';
        for (uint64_t i = next; i < next + kAtOnce; ++i) {
          if (::write(fds[i % fds.size()], &byte, 1) != 1) ::_exit(1);
        }
        for (uint64_t i = next; i < next + kAtOnce; ++i) {
          if (::read(fds[i % fds.size()], &byte, 1) != 1) ::_exit(1);
        }
      }
      if (::write(control, &count, sizeof count) != sizeof count) ::_exit(1);
    }
    ::_exit(0);
  }

  static Task<> accept_all(UnixListener listener, uint64_t size) {
    for (uint64_t i = 0; i < size; ++i) {
      absl::StatusOr<UnixStream> client = co_await listener.accept();
      if (!client.ok()) throw std::runtime_error(std::string(client.status().message()));
      (void)spawn(answer(*std::move(client)), "answer");
    }
  }

  std::unique_ptr<Loop> loop_ = make_loop();
  int control_ = -1;
  pid_t child_ = -1;
};

// A round has `items_min` at least: small sizes are repeated. Each of the `size` comes to `items_of_each` items at once.
void add_row(Rows& rows, uint64_t items_min, const std::string& name, const std::string& what, uint64_t size_max,
             const std::function<MakeSide(uint64_t size)>& side, uint64_t items_of_each) {
  for (uint64_t size = 100; size <= size_max; size *= 10) {
    Row row;
    row.name = absl::StrCat("grow/", name, "/", size);
    row.what = what;
    row.sides = {{"weir", side(size)}};
    row.count = std::max(size * items_of_each, items_min);
    row.rounds = 9;
    rows.push_back(std::move(row));
  }
}

}  // namespace

void add_grow_rows(Rows& rows, const Settings& settings) {
  const auto add = [&rows, items_min = settings.quick ? uint64_t{10'000} : uint64_t{100'000}](
                       const std::string& name, const std::string& what, uint64_t size_max,
                       const std::function<MakeSide(uint64_t size)>& side, uint64_t items_of_each = 1) {
    add_row(rows, items_min, name, what, size_max, side, items_of_each);
  };
  add("spawn", "a task spawned and joined", 1'000'000, [](uint64_t size) { return repeated(size, spawn_all); });
  add("timer", "a timer armed and cancelled", 1'000'000, timers_alone);
  add("post", "a post", 1'000'000, [](uint64_t size) { return repeated(size, post_all); });
  add("connection", "a request on one of so many connections, CPU of the server", 10'000,
      [](uint64_t size) -> MakeSide { return [size] { return std::make_unique<Connections>(size); }; });
  add("stream", "an item of one of so many streams, 100 items each", 1000, [](uint64_t size) {
    return on_loop([size](uint64_t count) -> Task<> {
      for (uint64_t done = 0; done < count; done += size * kItemsOfEach) co_await read_streams(size);
    });
  }, kItemsOfEach);
  add("item", "an item of one stream that has so many", 1'000'000, [](uint64_t size) { return repeated(size, read_stream); });
}

}  // namespace weir::bench
