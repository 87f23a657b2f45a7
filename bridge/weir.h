// All of weir, both floors.
#pragma once

#include "weir/bridge.h"   // IWYU pragma: export
#include "weir/runtime.h"  // IWYU pragma: export
