// 003, "Threaded iterator decorator": the lines of a file, each with the digest of all up to it, sent over TCP.
#include "weir/tools/examples/example.h"

#include <fstream>
#include <stdexcept>

#include "weir/tools/tour/md5_chain.h"
#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;

// The value, or an exception with what went wrong.
template <class T>
T must(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(std::string(value.status().message()));
  return *std::move(value);
}
void must(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

std::string file_to_read(const examples::Arguments& arguments) { return arguments.empty() ? "/etc/passwd" : arguments[0]; }

// The lines of a file, each with its line feed if it has one.
weir::Generator<std::string> lines_of(std::string path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot open " + path);
  for (std::string line; std::getline(file, line);) {
    if (!file.eof()) line += '\n';
    co_yield line;
  }
}

// `netcat -l`: all that the first visitor sends.
weir::Task<std::string> netcat(weir::TcpListener& listener) {
  weir::TcpStream visitor = must(co_await listener.accept());
  std::string all;
  std::string block(4096, '\0');
  while (const std::size_t count = must(co_await visitor.read(weir::writable_bytes(block)))) all.append(block, 0, count);
  co_return all;
}

weir::TcpListener listen() { return must(weir::TcpListener::bind(must(weir::SocketAddress::parse("127.0.0.1:0")))); }

namespace blockchain {  // 003-4, 003-5

weir::Generator<std::string> read_blocks(std::string path) {
  tour::Md5Chain md5_hash;
  for (const std::string& line : lines_of(path)) {
    md5_hash.add(line);
    co_yield std::string(tour::as_text(md5_hash.digest())) + "\t" + line;
  }
}

const auto blocking_reader = weir::threaded_iterable(read_blocks);

weir::Task<> send(std::string path, weir::SocketAddress address) {
  weir::TcpStream writer = must(co_await weir::TcpStream::connect(address));
  auto blocks = blocking_reader(path);
  while (auto block = co_await blocks.next()) must(co_await writer.write_all(weir::as_bytes(*block)));
  must(co_await writer.close());
}

weir::Task<> main(examples::Arguments arguments) {
  weir::TcpListener listener = listen();
  auto [received, sent] = co_await weir::gather(netcat(listener), send(file_to_read(arguments), listener.local_address()));
  if (received.ends_with('\n')) received.pop_back();
  print(received);
}

}  // namespace blockchain

namespace white_noise {  // 003-6

weir::Generator<std::string> random_chunks() {
  std::ifstream file("/dev/urandom", std::ios::binary);
  for (std::string chunk(8, '\0'); file.read(chunk.data(), 8);) co_yield chunk;
}

// Two chunks wait.
const auto urandom_reader = weir::threaded_iterable(random_chunks, {.max_size = 2});

// Any number of lines wait; on a thread of its own.
const auto blocking_reader = weir::threaded_iterable_separate(lines_of);

weir::Task<> send_ten(weir::IteratorWrapper<std::string>& chunks, weir::TcpStream& writer) {
  int counter = 0;
  while (auto chunk = co_await chunks.next()) {
    must(co_await writer.write_all(weir::as_bytes(*chunk)));
    if (++counter == 10) break;
  }
}

weir::Task<> send(std::string path, weir::SocketAddress address) {
  weir::TcpStream writer = must(co_await weir::TcpStream::connect(address));
  auto lines = blocking_reader(path);
  while (auto line = co_await lines.next()) must(co_await writer.write_all(weir::as_bytes(*line)));

  // Feed white noise, then stop the generator.
  auto noise = urandom_reader();
  co_await send_ten(noise, writer);
  co_await noise.close();

  // The same, with with().
  const auto send_to_writer = [&writer](weir::IteratorWrapper<std::string>& chunks) { return send_ten(chunks, writer); };
  co_await weir::with(urandom_reader(), send_to_writer);
  must(co_await writer.close());
}

weir::Task<> main(examples::Arguments arguments) {
  const std::string path = file_to_read(arguments);
  weir::TcpListener listener = listen();
  auto [received, sent] = co_await weir::gather(netcat(listener), send(path, listener.local_address()));
  const std::string text = must(co_await weir::read_file(path));
  check(received.starts_with(text));
  check(received.size() == text.size() + 160);
  print(received.size(), "bytes:", text.size(), "of", path, "and", received.size() - text.size(), "of noise");
}

}  // namespace white_noise

}  // namespace

examples::Section examples::blockchain_003() {
  static constexpr Example kAll[] = {
      {"003-4", "the lines of a file, each with the digest of all up to it, over TCP [path]", run<blockchain::main>},
      {"003-6", "a file, and what was taken of two endless generators, over TCP [path]", run<white_noise::main>},
  };
  return kAll;
}
