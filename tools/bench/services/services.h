// weir's programs beside those that people use for the same job: a web server, a key-value server, the tour.
//
//   http, a file of 1 KiB, 64 connections         requests/s   CPU each      p50       p99
//     weir                                            82,113    8.1 us    0.69 ms   1.2 ms
//     nginx                                           …
//
// Each program is a process of its own; a load generator asks them in turns, on the same machine. Programs that are not
// installed are named and left out. Bounded in time: about half a minute.
#pragma once

#include <string>

#include "weir/tools/bench/row.h"

namespace weir::bench {

std::string compare_services(const Settings& settings);

}  // namespace weir::bench
