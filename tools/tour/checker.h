// Checker: the server's view of a chain: takes "digest TAB line" as the bytes come, in blocks of any size, and computes
// every digest again.
//
//   Checker checker;
//   checker.take(block);  …
//   checker.finish();               // the summary
//
// Memory: none but the digest of the line at hand, however long it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weir/tools/tour/md5_chain.h"

namespace tour {

class Checker {
 public:
  void take(std::string_view bytes);

  // The input has ended. "674 lines, 57391 bytes: every digest is right", or what is wrong, beginning with "WRONG".
  std::string finish();

  static bool is_success(std::string_view summary) { return !summary.empty() && summary.substr(0, 5) != "WRONG"; }

 private:
  void end_line();

  Md5Chain chain_;
  std::string claimed_;     // the line's digest, and the tab, as far as they have come
  bool line_began_ = false;
  uint64_t lines_ = 0;
  uint64_t bytes_ = 0;
  std::string wrong_;       // the first thing that is
};

}  // namespace tour
