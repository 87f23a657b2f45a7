// The tour's main job, written for Python's asyncio.
#pragma once

#include <string>

namespace weir::bench {

// A script: python3 -c SCRIPT FILE. Ends with 0 if every line came over with its digest.
std::string asyncio_tour();

}  // namespace weir::bench
