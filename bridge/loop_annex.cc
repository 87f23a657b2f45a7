#include "weir/bridge/loop_annex.h"

#include <cstdio>
#include <string>

namespace weir::internal {
namespace {

// Tells the runtime, before main(), how its loops get a pool.
[[maybe_unused]] const bool installed = [] {
  Engine::set_annex_factory([](Engine&) -> std::unique_ptr<LoopAnnex> { return std::make_unique<BridgeAnnex>(); });
  return true;
}();

}  // namespace

ThreadPool& BridgeAnnex::pool() {
  if (!pool_) pool_.emplace(ThreadPoolOptions{.size = pool_size_});
  return *pool_;
}

void BridgeAnnex::add(LoopBound& bound) noexcept {
  if (closed_) return bound.loop_goes();
  bound.listed_ = true;
  bound_.push_back(bound);
}

bool BridgeAnnex::remove(LoopBound& bound) noexcept {
  if (!bound.listed_) return false;
  bound.listed_ = false;
  bound_.remove(bound);
  return true;
}

void BridgeAnnex::close() noexcept {
  closed_ = true;
  while (LoopBound* bound = bound_.first()) {
    remove(*bound);
    bound->loop_goes();
  }
  if (pool_) pool_->close();
}

void BridgeAnnex::abandon() noexcept {
  std::string names;
  if (pool_) {
    for (const std::string& name : pool_->abandon()) names += " " + name;
  }
  std::fprintf(stderr, "weir: a loop ended while %lld of its jobs still ran, and abandons them:%s\n",
               static_cast<long long>(jobs_), names.empty() ? " on other threads" : names.c_str());
}

}  // namespace weir::internal
