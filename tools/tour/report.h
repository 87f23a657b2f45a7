// What happened where, in a few lines.
#pragma once

#include <string>

#include "weir/tools/tour/journey.h"

namespace tour {

// On the loop's thread.
std::string report(const Journey& journey);

}  // namespace tour
