// What the bridge keeps for a loop: the loop's own pool, the jobs that still run for it, its streams and channels.
//
// Made when it is first needed, destroyed with the loop. Loop's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "weir/bridge/thread_pool.h"
#include "weir/runtime/engine.h"
#include "weir/runtime/intrusive_list.h"

namespace weir::internal {

// Something that ends when its loop goes: a stream, a channel.
class LoopBound {
 public:
  virtual void loop_goes() noexcept = 0;  // once; it has left the loop's list by then

 protected:
  ~LoopBound() = default;

 private:
  friend class BridgeAnnex;
  LoopBound* previous_ = nullptr;
  LoopBound* following_ = nullptr;
  bool listed_ = false;
};

class BridgeAnnex final : public LoopAnnex {
 public:
  static BridgeAnnex& of(Engine& engine) { return static_cast<BridgeAnnex&>(engine.annex()); }

  // Of the pool, before it is first used; 0: the default.
  void set_pool_size(unsigned size) noexcept { pool_size_ = size; }
  // How long the loop waits for running jobs when it goes.
  void set_patience(absl::Duration patience) noexcept { patience_ = patience; }

  ThreadPool& pool();

  // A job that was handed to a thread for this loop, until it comes back through the inbox.
  void job_started() noexcept { ++jobs_; }
  void job_ended() noexcept { --jobs_; }

  // Threads of the loop's own pool that have a job.
  std::vector<std::string> busy_threads() const { return pool_ ? pool_->busy_threads() : std::vector<std::string>(); }

  void add(LoopBound& bound) noexcept;     // which is told at once if the loop goes already
  bool remove(LoopBound& bound) noexcept;  // false: it was not in the list

  // --- LoopAnnex
  Executor& executor() override { return pool(); }
  void close() noexcept override;
  bool quiet() const noexcept override { return jobs_ == 0; }
  absl::Duration patience() const noexcept override { return patience_; }
  void abandon() noexcept override;

 private:
  unsigned pool_size_ = 0;
  absl::Duration patience_ = absl::Seconds(60);
  std::optional<ThreadPool> pool_;
  int64_t jobs_ = 0;
  bool closed_ = false;
  IntrusiveList<LoopBound, &LoopBound::previous_, &LoopBound::following_> bound_;
};

}  // namespace weir::internal
