#include "weir/runtime/with.h"

#include "weir/runtime/engine.h"

namespace weir::internal {

void report_unhandled(std::exception_ptr failure) {
  const Root* root = thread_state.root;
  Engine* engine = thread_state.engine;
  if (engine != nullptr) engine->control().report(std::move(failure), root != nullptr ? root->name() : std::string_view());
}

void report_unhandled(const absl::Status& status) {
  report_unhandled(std::make_exception_ptr(std::runtime_error(status.ToString())));
}

}  // namespace weir::internal
