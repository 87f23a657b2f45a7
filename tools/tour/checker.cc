#include "weir/tools/tour/checker.h"

#include <algorithm>

namespace tour {

void Checker::take(std::string_view bytes) {
  bytes_ += bytes.size();
  while (!bytes.empty() && wrong_.empty()) {
    if (claimed_.size() <= kDigestChars) {
      const std::size_t count = std::min(bytes.size(), kDigestChars + 1 - claimed_.size());
      claimed_ += bytes.substr(0, count);
      bytes.remove_prefix(count);
      if (claimed_.size() > kDigestChars && claimed_.back() != '\t') {
        wrong_ = "WRONG: no tab follows the digest of line " + std::to_string(lines_ + 1);
      }
      continue;
    }
    const std::size_t newline = bytes.find('\n');
    const std::string_view part = bytes.substr(0, newline == bytes.npos ? bytes.size() : newline + 1);
    chain_.add(part);
    line_began_ = true;
    if (part.back() == '\n') end_line();
    bytes.remove_prefix(part.size());
  }
}

void Checker::end_line() {
  ++lines_;
  claimed_.resize(kDigestChars);
  const Digest digest = chain_.digest();
  if (claimed_ != as_text(digest)) {
    wrong_ = "WRONG: line " + std::to_string(lines_) + " came with " + claimed_ + " and has " + std::string(as_text(digest));
  }
  claimed_.clear();
  line_began_ = false;
}

std::string Checker::finish() {
  if (wrong_.empty() && line_began_) end_line();  // a last line without a newline
  if (wrong_.empty() && !claimed_.empty()) wrong_ = "WRONG: the end came within line " + std::to_string(lines_ + 1);
  if (!wrong_.empty()) return wrong_;
  return std::to_string(lines_) + (lines_ == 1 ? " line, " : " lines, ") + std::to_string(bytes_) + " bytes: every digest is right";
}

}  // namespace tour
