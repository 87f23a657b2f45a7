// All of weir's sockets: TCP, Unix and UDP, pipes, and serve().
#pragma once

#include "weir/runtime/io/address.h"  // IWYU pragma: export
#include "weir/runtime/io/pipe.h"     // IWYU pragma: export
#include "weir/runtime/io/serve.h"    // IWYU pragma: export
#include "weir/runtime/io/tcp.h"      // IWYU pragma: export
#include "weir/runtime/io/udp.h"      // IWYU pragma: export
#include "weir/runtime/io/unix.h"     // IWYU pragma: export
