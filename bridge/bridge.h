// All of weir's bridge: threads and the loop.
#pragma once

#include "weir/bridge/call.h"            // IWYU pragma: export
#include "weir/bridge/channel.h"         // IWYU pragma: export
#include "weir/bridge/channel_errors.h"  // IWYU pragma: export
#include "weir/bridge/entrypoint.h"      // IWYU pragma: export
#include "weir/bridge/generator.h"       // IWYU pragma: export
#include "weir/bridge/iterable.h"        // IWYU pragma: export
#include "weir/bridge/net.h"             // IWYU pragma: export
#include "weir/bridge/separate.h"        // IWYU pragma: export
#include "weir/bridge/sync_await.h"      // IWYU pragma: export
#include "weir/bridge/thread_pool.h"     // IWYU pragma: export
#include "weir/bridge/threaded.h"        // IWYU pragma: export
