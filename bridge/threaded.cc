#include "weir/bridge/threaded.h"

#include "weir/runtime/root.h"

namespace weir::internal {

bool on_a_loop() noexcept { return thread_state.engine != nullptr; }

}  // namespace weir::internal
