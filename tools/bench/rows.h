// Every row, by family. Each of these appends its rows.
#pragma once

#include <vector>

#include "weir/tools/bench/row.h"

namespace weir::bench {

using Rows = std::vector<Row>;

void add_await_rows(Rows& rows);                                // co_await: operations, tasks, yield, spawn
void add_thread_rows(Rows& rows, const Settings& settings);     // threads and the loop
void add_stream_rows(Rows& rows);                               // streams and channels
void add_echo_rows(Rows& rows);                                 // TCP
void add_lag_rows(Rows& rows, const Settings& settings);        // how late the loop is when it is busy
void add_file_rows(Rows& rows);                                 // reads
void add_deadline_rows(Rows& rows, const Settings& settings);   // timeout, cancel, timers
void add_memory_rows(Rows& rows, const Settings& settings);     // bytes for what waits
void add_grow_rows(Rows& rows, const Settings& settings);       // the same at growing sizes: see growth.h

}  // namespace weir::bench
