// Everything that starts tasks and waits for them: spawn, gather, race, timeout, shield, TaskGroup, with, on.
#pragma once

#include "weir/runtime/gather.h"      // IWYU pragma: export
#include "weir/runtime/join.h"        // IWYU pragma: export
#include "weir/runtime/on.h"          // IWYU pragma: export
#include "weir/runtime/race.h"        // IWYU pragma: export
#include "weir/runtime/shield.h"      // IWYU pragma: export
#include "weir/runtime/task_group.h"  // IWYU pragma: export
#include "weir/runtime/timeout.h"     // IWYU pragma: export
#include "weir/runtime/with.h"        // IWYU pragma: export
