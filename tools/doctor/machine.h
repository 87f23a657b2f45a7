// What kernel, container and limits say of themselves: nothing is tried.
#pragma once

#include "weir/tools/doctor/finding.h"

namespace doctor {

Findings look_at_machine();

}  // namespace doctor
