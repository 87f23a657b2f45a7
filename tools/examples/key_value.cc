// A key-value server that speaks Redis' protocol: GET SET DEL INCR EXPIRE TTL PING, with pipelining.
//
//   bazel run //tools:key_value -- --port=6380
//   redis-cli -p 6380 set greeting hello
//
// One task a connection, one loop, and so no lock. All commands that a block of bytes brings are carried out, and answered
// with one write. hiredis' reader takes the protocol apart; a command may also be a line (PING).
#include <cstdio>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "weir/tools/examples/command_reader.h"
#include "weir/tools/examples/key_value_store.h"
#include "weir/weir.h"

ABSL_FLAG(std::string, listen, "127.0.0.1", "the address to listen at");
ABSL_FLAG(uint16_t, port, 6380, "the port; 0: any free one, which is printed");

namespace examples {
namespace {

// Answers every command that is whole. False: these bytes are no commands.
bool answer_all(CommandReader& reader, KeyValueStore& store, std::string& answers) {
  const absl::Time now = absl::Now();
  while (const CommandReader::Command* command = reader.next()) store.run(*command, now, answers);
  if (reader.broken()) absl::StrAppend(&answers, "-ERR Protocol error\r\n");
  return !reader.broken();
}

weir::Task<> serve_client(weir::TcpStream stream, KeyValueStore& store) {
  (void)co_await stream.set_no_delay();
  CommandReader reader;
  std::string answers;
  for (bool fine = true; fine;) {
    const absl::StatusOr<weir::Buffer> block = co_await stream.receive();
    if (!block.ok() || block->empty()) co_return;
    reader.feed({reinterpret_cast<const char*>(block->data()), block->size()});
    answers.clear();
    fine = answer_all(reader, store, answers);
    const absl::Status sent = co_await stream.write_all(weir::as_bytes(answers));
    if (!sent.ok()) co_return;
  }
}

weir::Task<> expire_keys(KeyValueStore& store) {
  weir::Interval interval(absl::Milliseconds(100));
  for (;;) {
    co_await interval.tick();
    store.expire(absl::Now(), 10'000);
  }
}

weir::Task<int> run(std::string address) {
  const absl::StatusOr<weir::SocketAddress> where = weir::SocketAddress::parse(address);
  absl::StatusOr<weir::TcpListener> listener = where.ok() ? weir::TcpListener::bind(*where) : where.status();
  if (!listener.ok()) {
    std::fprintf(stderr, "key_value: %s\n", std::string(listener.status().message()).c_str());
    co_return 1;
  }
  std::printf("key_value: at %s\n", listener->local_address().to_string().c_str());
  std::fflush(stdout);
  KeyValueStore store;
  const auto handler = [&store](weir::TcpStream stream) { return serve_client(std::move(stream), store); };
  (void)co_await weir::race(weir::serve(*listener, handler), expire_keys(store));
  std::fprintf(stderr, "key_value: the listener is broken\n");
  co_return 1;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("a key-value server that speaks Redis' protocol.\nusage: key_value [--listen=ADDRESS] [--port=PORT]");
  absl::ParseCommandLine(argc, argv);
  const std::string address = absl::GetFlag(FLAGS_listen);
  const bool ipv6 = address.find(':') != std::string::npos;
  return weir::entrypoint(examples::run(absl::StrCat(ipv6 ? "[" : "", address, ipv6 ? "]:" : ":", absl::GetFlag(FLAGS_port))));
}
