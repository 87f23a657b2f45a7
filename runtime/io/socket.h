// All of weir's sockets.
#pragma once

#include "weir/runtime/io/address.h"
#include "weir/runtime/io/tcp.h"
