// weir's programs beside those that people use for the same job: a web server, a key-value server, the tour.
//
//   http, a file of 1 KiB, 64 connections         requests/s   CPU each      p50       p99
//     weir's http_files                              118683    8.89 us   0.49 ms   1.05 ms
//     nginx, one worker                              …
//
// Each program is a process of its own; a load generator asks them in turns, on the same machine. Programs that are not
// installed are named and left out. Bounded in time: about half a minute.
#pragma once

#include <string>

#include "weir/tools/bench/row.h"

namespace weir::bench {

std::string compare_services(const Settings& settings);

}  // namespace weir::bench
