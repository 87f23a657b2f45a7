// Every row, by family. Each of these appends its rows.
#pragma once

#include <vector>

#include "weir/tools/bench/row.h"

namespace weir::bench {

using Rows = std::vector<Row>;

void add_await_rows(Rows& rows);     // co_await: operations, tasks, yield, spawn

}  // namespace weir::bench
