#include "weir/tools/bench/peers/peers.h"

namespace weir::bench::peers {

std::vector<std::string> missing() {
  std::vector<std::string> missing;
  if (!asio_epoll_echo_server()) missing.push_back("Asio");
  if (!libuv_echo_server()) missing.push_back("libuv");
  return missing;
}

std::vector<std::pair<std::string, MakeEchoServer>> echo_servers() {
  std::vector<std::pair<std::string, MakeEchoServer>> servers;
  const auto add = [&servers](const char* name, MakeEchoServer make) {
    if (make) servers.emplace_back(name, std::move(make));
  };
  add("Asio epoll", asio_epoll_echo_server());
  add("Asio io_uring", asio_uring_echo_server());
  add("libuv", libuv_echo_server());
  return servers;
}

std::vector<NamedSide> calls(unsigned in_flight) {
  std::vector<NamedSide> sides;
  if (MakeSide asio = asio_calls(in_flight)) sides.push_back({"Asio", std::move(asio)});
  if (MakeSide libuv = libuv_calls(in_flight)) sides.push_back({"libuv", std::move(libuv)});
  return sides;
}

}  // namespace weir::bench::peers
