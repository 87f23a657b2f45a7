// What io_uring does here, found out by doing.
#pragma once

#include "weir/tools/doctor/finding.h"

namespace doctor {

// A ring with weir's flags, its requests, a multishot receive into provided buffers, a read into a registered buffer. Only
// the first when there can be no ring.
Findings try_ring();

}  // namespace doctor
