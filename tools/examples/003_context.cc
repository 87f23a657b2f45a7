// 003, "contextvars support" and "aiomisc.sync_wait_coroutine".
#include "weir/tools/examples/example.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>

#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

namespace audit {  // 003-1

weir::ContextVar<uint32_t> user_id("user_id");

// A record is a number of four bytes, the highest first.
using Record = std::array<char, 4>;

Record pack(uint32_t id) {
  return {static_cast<char>(id >> 24), static_cast<char>(id >> 16), static_cast<char>(id >> 8), static_cast<char>(id)};
}

uint32_t unpack(const Record& record) {
  uint32_t id = 0;
  for (const char byte : record) id = id << 8 | static_cast<unsigned char>(byte);
  return id;
}

const auto write_user = weir::threaded([](std::string path) {
  const Record record = pack(user_id.get());
  std::ofstream(path, std::ios::binary | std::ios::app).write(record.data(), record.size());
});

// A generator: threaded() makes a stream of it.
const auto read_log = weir::threaded([](std::string path) -> weir::Generator<uint32_t> {
  std::ifstream file(path, std::ios::binary);
  for (Record record; file.read(record.data(), record.size());) co_yield unpack(record);
});

weir::Task<> main() {
  const std::string path = examples::temporary_path("weir_audit");
  std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<uint32_t> ids(1, 65535);

  std::vector<uint32_t> written;
  std::vector<weir::Call<void>> calls;
  for (int i = 0; i < 5; ++i) {
    written.push_back(ids(random));
    user_id.set(written.back());
    calls.push_back(write_user(path));  // sees the variables as they are now
  }
  co_await weir::gather(std::move(calls));

  std::vector<uint32_t> read;
  auto log = read_log(path);
  while (auto id = co_await log.next()) {
    print(*id);
    read.push_back(*id);
  }
  check(std::ranges::is_permutation(read, written));  // in the order in which they were written
  check(std::filesystem::file_size(path) == 20);
  std::remove(path.c_str());
}

}  // namespace audit

namespace wait_coroutine {  // 003-10

weir::Task<> coro() {
  print("Coroutine started");
  co_await weir::sleep_for(seconds(1));
  print("Coroutine done");
}

const auto in_thread = weir::threaded([](weir::LoopHandle loop) {
  print("Thread started");
  weir::sync_wait_coroutine(loop, coro);
  print("Thread finished");
});

void program(const examples::Arguments&) {
  auto loop = weir::Loop::create();
  if (!loop.ok()) throw std::runtime_error(std::string(loop.status().message()));
  (*loop)->run(in_thread((*loop)->handle()));
}

}  // namespace wait_coroutine

}  // namespace

examples::Section examples::context_003() {
  static constexpr Example kAll[] = {
      {"003-1", "five ids, written by five threads, read back as a stream", run<audit::main>},
      {"003-10", "a thread waits for a coroutine", wait_coroutine::program},
  };
  return kAll;
}
