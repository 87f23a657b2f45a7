// The doctor's findings, for people and for programs.
#pragma once

#include <string>

#include "weir/tools/doctor/finding.h"

namespace doctor {

std::string as_text(const Findings& findings);
// {"weir_runs": true, "findings": [{"name", "verdict": "fine" | "gap" | "broken", "found", "weir_does", "cure"}]}
std::string as_json(const Findings& findings);

// Nothing is broken.
bool weir_runs(const Findings& findings);

}  // namespace doctor
