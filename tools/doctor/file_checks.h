// What files do here, found out by doing.
#pragma once

#include <string>

#include "weir/tools/doctor/finding.h"

namespace doctor {

// O_DIRECT in that folder: a temporary file is written and read past the page cache. Needs a loop: only where there is a ring.
Findings try_files(std::string folder);

}  // namespace doctor
