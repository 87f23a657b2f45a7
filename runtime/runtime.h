// All of weir's runtime: one thread, one ring.
#pragma once

#include "weir/runtime/context.h"         // IWYU pragma: export
#include "weir/runtime/errors.h"          // IWYU pragma: export
#include "weir/runtime/executor.h"        // IWYU pragma: export
#include "weir/runtime/io/address.h"      // IWYU pragma: export
#include "weir/runtime/io/buffer.h"       // IWYU pragma: export
#include "weir/runtime/io/bytes.h"        // IWYU pragma: export
#include "weir/runtime/io/file.h"         // IWYU pragma: export
#include "weir/runtime/io/poll.h"         // IWYU pragma: export
#include "weir/runtime/io/process.h"      // IWYU pragma: export
#include "weir/runtime/io/signal.h"       // IWYU pragma: export
#include "weir/runtime/io/socket.h"       // IWYU pragma: export
#include "weir/runtime/io/splice.h"       // IWYU pragma: export
#include "weir/runtime/kernel_support.h"  // IWYU pragma: export
#include "weir/runtime/loop.h"            // IWYU pragma: export
#include "weir/runtime/loop_handle.h"     // IWYU pragma: export
#include "weir/runtime/operation.h"       // IWYU pragma: export
#include "weir/runtime/spawn.h"           // IWYU pragma: export
#include "weir/runtime/status.h"          // IWYU pragma: export
#include "weir/runtime/sync/event.h"      // IWYU pragma: export
#include "weir/runtime/sync/latch.h"      // IWYU pragma: export
#include "weir/runtime/sync/mutex.h"      // IWYU pragma: export
#include "weir/runtime/sync/queue.h"      // IWYU pragma: export
#include "weir/runtime/sync/semaphore.h"  // IWYU pragma: export
#include "weir/runtime/task.h"            // IWYU pragma: export
#include "weir/runtime/time.h"            // IWYU pragma: export
