#include "weir/tools/doctor/report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace doctor {
namespace {

const char* word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFine:
      return "fine";
    case Verdict::kGap:
      return "gap";
    case Verdict::kBroken:
      return "broken";
  }
  return "";
}

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (byte == '"' || byte == '\\') {
      json += '\\';
      json += byte;
    } else if (code < 0x20) {
      absl::StrAppend(&json, "\\u", absl::Hex(code, absl::kZeroPad4));
    } else {
      json += byte;
    }
  }
  return json + "\"";
}

}  // namespace

bool weir_runs(const Findings& findings) {
  return std::none_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.verdict == Verdict::kBroken; });
}

std::string as_text(const Findings& findings) {
  std::size_t width = 0;
  for (const Finding& finding : findings) width = std::max(width, finding.name.size());
  std::string text;
  for (const Finding& finding : findings) {
    absl::StrAppend(&text, word(finding.verdict), std::string(8 - std::string(word(finding.verdict)).size(), ' '), finding.name,
                    std::string(width + 2 - finding.name.size(), ' '), finding.found, "\n");
    const std::string indent(width + 10, ' ');
    if (!finding.weir_does.empty()) absl::StrAppend(&text, indent, "weir: ", finding.weir_does, "\n");
    if (!finding.cure.empty()) absl::StrAppend(&text, indent, "cure: ", finding.cure, "\n");
  }
  const auto gaps = std::count_if(findings.begin(), findings.end(), [](const Finding& finding) { return finding.verdict == Verdict::kGap; });
  if (!weir_runs(findings)) return text + "weir cannot run here.\n";
  if (gaps == 0) return text + "weir runs here, and lacks nothing.\n";
  return text + absl::StrCat("weir runs here, with ", gaps, gaps == 1 ? " gap.\n" : " gaps.\n");
}

std::string as_json(const Findings& findings) {
  std::string json = absl::StrCat("{\"weir_runs\": ", weir_runs(findings) ? "true" : "false", ", \"findings\": [");
  const char* separator = "\n";
  for (const Finding& finding : findings) {
    absl::StrAppend(&json, separator, "  {\"name\": ", quoted(finding.name), ", \"verdict\": \"", word(finding.verdict),
                    "\", \"found\": ", quoted(finding.found), ", \"weir_does\": ", quoted(finding.weir_does),
                    ", \"cure\": ", quoted(finding.cure), "}");
    separator = ",\n";
  }
  return json + "\n]}\n";
}

}  // namespace doctor
