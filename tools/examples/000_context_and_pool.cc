// 000, "contextvars support" and "aiomisc.ThreadPoolExecutor".
#include "weir/tools/examples/example.h"

#include <barrier>
#include <stdexcept>

#include "weir/weir.h"

namespace {

using examples::print;

namespace context {  // 000-14

weir::ContextVar<std::string> request_id("request_id");

const auto log_with_context = weir::threaded([](std::string message) { print("[" + request_id.get() + "]", message); });

weir::Task<> handle_request(std::string id) {
  request_id.set(id);
  co_await log_with_context("Processing request");
}

weir::Task<> main() {
  // Each of the three is a task with variables of its own.
  co_await weir::gather(handle_request("req-001"), handle_request("req-002"), handle_request("req-003"));
}

}  // namespace context

// Comes back when `threads` calls run at once, so each has a thread.
weir::Task<> meet(int threads) {
  std::barrier place(threads);
  const auto arrive = weir::threaded([&place] { place.arrive_and_wait(); });
  std::vector<weir::Call<void>> calls;
  for (int i = 0; i < threads; ++i) calls.push_back(arrive());
  co_await weir::gather(std::move(calls));
  print(threads, "threads");
}

namespace pool {  // 000-15

void program(const examples::Arguments&) {
  weir::ThreadPool thread_pool({.size = 4});  // outlives the loop that uses it
  auto loop = weir::Loop::create();
  if (!loop.ok()) throw std::runtime_error(std::string(loop.status().message()));
  (*loop)->set_default_executor(&thread_pool);
  (*loop)->run(meet(4));
}

}  // namespace pool

namespace pool_size {  // 000-16

void program(const examples::Arguments&) { examples::check(weir::entrypoint({.pool_size = 8}, meet(8)) == 0); }

}  // namespace pool_size

}  // namespace

examples::Section examples::context_and_pool_000() {
  static constexpr Example kAll[] = {
      {"000-14", "context variables follow a call into its thread", run<context::main>},
      {"000-15", "a pool of four as the loop's default", pool::program},
      {"000-16", "the size of the entrypoint's pool", pool_size::program},
  };
  return kAll;
}
