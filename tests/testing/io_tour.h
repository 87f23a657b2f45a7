// A tour through every call of runtime/io, for tests that play another kernel.
//
//   const TemporaryFolder folder("/tmp");  // a socket's path has 107 bytes at most
//   loop->run(tour_of_io(folder, IoTour::kAllWork));
#pragma once

#include "weir/runtime/task.h"
#include "weir/tests/testing/io.h"

namespace weir::testing {

enum class IoTour {
  kAllWork,       // every call succeeds
  kOrSaySo,       // or says kUnimplemented
};

Task<> tour_of_files(const TemporaryFolder& folder, IoTour kind);
Task<> tour_of_paths(const TemporaryFolder& folder, IoTour kind);
Task<> tour_of_streams(const TemporaryFolder& folder, IoTour kind);  // sockets, pipes, signals, children

}  // namespace weir::testing
