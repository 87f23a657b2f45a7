// What the doctor found: one line of its report.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace doctor {

enum class Verdict {
  kFine,
  kGap,     // weir works, and does without
  kBroken,  // weir cannot run
};

class Finding {
 public:
  Finding(std::string finding_name, Verdict finding_verdict, std::string value, std::string instead = {}, std::string remedy = {})
      : name(std::move(finding_name)),
        verdict(finding_verdict),
        found(std::move(value)),
        weir_does(std::move(instead)),
        cure(std::move(remedy)) {}

  std::string name;       // "memlock limit"
  Verdict verdict;
  std::string found;      // "8 MiB"
  std::string weir_does;  // about a gap
  std::string cure;       // how to close it
};

using Findings = std::vector<Finding>;

}  // namespace doctor
