// What other well-known libraries need for the same jobs. Those that are not installed are left out.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "weir/tools/bench/echo_server.h"
#include "weir/tools/bench/row.h"

namespace weir::bench::peers {

// Names of those that are not installed.
std::vector<std::string> missing();

std::vector<std::pair<std::string, MakeEchoServer>> echo_servers();

// A job on a worker thread, and its result back on the loop, `in_flight` at a time.
std::vector<NamedSide> calls(unsigned in_flight);

// Each is empty where its library is not installed.
MakeEchoServer asio_epoll_echo_server();
MakeEchoServer asio_uring_echo_server();
MakeEchoServer libuv_echo_server();
MakeSide asio_calls(unsigned in_flight);
MakeSide libuv_calls(unsigned in_flight);

}  // namespace weir::bench::peers
