// Bytes of the heap that weir needs for what waits: a task, a timer, a call, an idle connection.

#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "weir/bridge/thread_pool.h"
#include "weir/bridge/threaded.h"
#include "weir/runtime/io/buffer.h"
#include "weir/runtime/io/tcp.h"
#include "weir/runtime/spawn.h"
#include "weir/runtime/sync/event.h"
#include "weir/runtime/time.h"
#include "weir/tools/bench/loop_side.h"
#include "weir/tools/bench/rows.h"

namespace weir::bench {
namespace {

double heap_bytes() {
  const struct mallinfo2 heap = mallinfo2();
  return static_cast<double>(heap.uordblks + heap.hblkhd);
}

// What `count` of something need, each: `work` starts them, calls the function that it is given, and ends them.
using Grow = Task<> (*)(uint64_t count, double& bytes);

Task<> wait_for(Event& event) { co_await event.wait(); }

Task<> tasks(uint64_t count, double& bytes) {
  Event end;
  std::vector<JoinHandle<>> handles;
  handles.reserve(count);
  const double before = heap_bytes();
  for (uint64_t i = 0; i < count; ++i) handles.push_back(spawn(wait_for(end)));
  for (int turn = 0; turn < 2; ++turn) co_await yield();
  bytes = heap_bytes() - before;
  end.set();
  for (JoinHandle<>& handle : handles) co_await handle;
}

Task<> sleep_long() { co_await sleep_for(absl::Hours(1)); }

Task<> sleepers(uint64_t count, double& bytes) {
  TaskGroup group;
  const double before = heap_bytes();
  for (uint64_t i = 0; i < count; ++i) group.spawn(sleep_long());
  for (int turn = 0; turn < 2; ++turn) co_await yield();
  bytes = heap_bytes() - before;
  co_await group.close();
}

Task<> calls(uint64_t count, double& bytes) {
  ThreadPool pool({.size = 1});
  std::atomic<bool> go{false};
  const auto call = threaded([&go] { go.wait(false); }).on(pool);
  using Waiting = decltype(call());
  std::vector<Waiting> waiting;
  waiting.reserve(count);
  const double before = heap_bytes();
  for (uint64_t i = 0; i < count; ++i) waiting.push_back(call());
  bytes = heap_bytes() - before;
  go = true;
  go.notify_all();
  for (Waiting& one : waiting) co_await std::move(one);
}

Task<> receive_until_end(TcpStream stream) { (void)co_await stream.receive(); }

Task<> connections(uint64_t count, double& bytes) {
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  TcpListener listener = *TcpListener::bind(*SocketAddress::parse("127.0.0.1:0"));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(listener.local_address().port());
  std::vector<int> clients;
  clients.reserve(count + 1);
  std::vector<JoinHandle<>> readers;
  readers.reserve(count + 1);
  double before = 0;
  for (uint64_t i = 0; i <= count; ++i) {
    if (i == 1) {  // the first one brings the blocks that all receive into
      co_await sleep_for(absl::Milliseconds(1));
      before = heap_bytes();
    }
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0) break;
    clients.push_back(client);
    if (connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) break;
    absl::StatusOr<TcpStream> stream = co_await listener.accept();
    if (!stream.ok()) break;
    readers.push_back(spawn(receive_until_end(*std::move(stream))));
  }
  co_await sleep_for(absl::Milliseconds(1));
  bytes = heap_bytes() - before;
  for (const int client : clients) close(client);
  for (JoinHandle<>& reader : readers) co_await reader;
  if (readers.size() <= count) throw std::runtime_error("the system gives no more descriptors");
}

// On a thread of its own, whose recycled frames are none yet.
MakeSide heap_of(Grow grow) {
  class Heap final : public Side {
   public:
    explicit Heap(Grow grow) : grow_(grow) {}
    Measured run(uint64_t count) override {
      double bytes = 0;
      std::exception_ptr failure;
      std::thread([&] {
        try {
          const std::unique_ptr<Loop> loop = make_loop();
          loop->run(grow_(count, bytes));
        } catch (...) {
          failure = std::current_exception();
        }
      }).join();
      if (failure) std::rethrow_exception(failure);
      return Measured(bytes / static_cast<double>(count));
    }

   private:
    const Grow grow_;
  };
  return [grow] { return std::make_unique<Heap>(grow); };
}

}  // namespace

void add_memory_rows(Rows& rows, const Settings& settings) {
  const uint64_t many = settings.quick ? 10'000 : 100'000;
  rows.push_back({.name = "memory/task", .what = "heap for a suspended task", .unit = "bytes",
                  .sides = {{"weir", heap_of(tasks)}}, .count = many, .rounds = 1});
  rows.push_back({.name = "memory/timer", .what = "heap for a task that sleeps", .unit = "bytes",
                  .sides = {{"weir", heap_of(sleepers)}}, .count = settings.quick ? many : 1'000'000, .rounds = 1});
  rows.push_back({.name = "memory/call", .what = "heap for a `threaded` call that is queued", .unit = "bytes",
                  .sides = {{"weir", heap_of(calls)}}, .count = many, .rounds = 1});
  rows.push_back({.name = "memory/connection", .what = "heap for an idle TCP connection in `receive()`", .unit = "bytes",
                  .goals = {.value = 1024}, .sides = {{"weir", heap_of(connections)}}, .count = settings.quick ? 1000U : 9000U, .rounds = 1});
}

}  // namespace weir::bench
