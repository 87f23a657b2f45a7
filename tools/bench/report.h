// What was measured, for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "weir/tools/bench/row.h"

namespace weir::bench {

// The machine, the kernel and the compiler, in one line.
std::string machine();

// For a terminal: a line for each side of each row, and at the end what falls short.
std::string as_text(const std::vector<RowResult>& results);

// For README.md: a line for each row.
std::string as_markdown(const std::vector<RowResult>& results);

std::string as_json(const std::vector<RowResult>& results);

// A bar for each row that has a twin or a peer: weir's ratio to them, drawn by gnuplot. Empty, or why there is none.
std::string draw(const std::vector<RowResult>& results, const std::string& file);

// For other charts: a string as gnuplot reads it; and a script run. Empty, or why it could not be.
std::string gnuplot_string(const std::string& text);
std::string run_gnuplot(const std::string& script);

}  // namespace weir::bench
