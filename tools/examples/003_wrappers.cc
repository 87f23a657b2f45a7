// 003, "aiomisc.IteratorWrapper" and "aiomisc.IteratorWrapperSeparate": the digest of a hundred blocks of random bytes.
#include "weir/tools/examples/example.h"

#include <fstream>

#include "weir/tools/tour/md5_chain.h"
#include "weir/weir.h"

namespace {

using examples::print;

weir::Generator<std::string> urandom_reader() {
  std::ifstream file("/dev/urandom", std::ios::binary);
  for (std::string block(1024, '\0'); file.read(block.data(), 1024);) co_yield block;
}

weir::Task<std::string> digest_of_hundred(weir::IteratorWrapper<std::string>& blocks) {
  tour::Md5Chain md5_hash;
  int counter = 0;
  while (auto block = co_await blocks.next()) {
    md5_hash.add(*block);
    if (++counter >= 100) break;
  }
  co_return std::string(tour::as_text(md5_hash.digest()));
}

namespace dedicated_pool {  // 003-7

weir::Task<> main() {
  weir::ThreadPool pool({.size = 1});
  weir::IteratorWrapper wrapper(urandom_reader, {.max_size = 2, .executor = &pool});
  const std::string digest = co_await weir::with(std::move(wrapper), digest_of_hundred);
  pool.shutdown();
  print(digest);
}

}  // namespace dedicated_pool

namespace separate_thread {  // 003-8

weir::Task<> main() {
  weir::IteratorWrapperSeparate wrapper(urandom_reader, {.max_size = 2});
  print(co_await weir::with(std::move(wrapper), digest_of_hundred));
}

}  // namespace separate_thread

}  // namespace

examples::Section examples::wrappers_003() {
  static constexpr Example kAll[] = {
      {"003-7", "a digest of random bytes, read on a pool of one", run<dedicated_pool::main>},
      {"003-8", "a digest of random bytes, read on a thread of its own", run<separate_thread::main>},
  };
  return kAll;
}
