#include "weir/bridge/parked.h"

namespace weir::internal {
namespace {

constinit thread_local ParkingWorker* current_worker = nullptr;

}  // namespace

ParkingWorker* ParkingWorker::current() noexcept { return current_worker; }

void ParkingWorker::set_current(ParkingWorker* worker) noexcept { current_worker = worker; }

}  // namespace weir::internal
