// Functions that one thread hands to another, awake or asleep in its ring.

#include <functional>
#include <thread>

#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/raw/waking_ring.h"
#include "weir/tools/bench/pause.h"

namespace weir::bench::raw {
namespace {

struct Post : Node {
  explicit Post(uint64_t& sum_of_all) : sum(sum_of_all) {}
  uint64_t& sum;
};

class PostsToAwake final : public Side {
 public:
  Measured run(uint64_t count) override {
    return time_of(count, [&] {
      uint64_t ran = 0;
      std::thread poster([this, count, &ran] {
        for (uint64_t i = 0; i < count; ++i) stack_.push(*new Post(ran));
      });
      while (ran < count) {
        if (stack_.empty()) continue;
        for (Node* list = oldest_first(stack_.take()); list != nullptr;) {
          auto* const post = static_cast<Post*>(list);
          list = list->next;
          ++post->sum;
          delete post;
        }
      }
      poster.join();
    });
  }

 private:
  Stack stack_;
};

class WakeUps final : public Side {
 public:
  Measured run(uint64_t count) override {
    int64_t latency_ns = 0;
    std::atomic<int64_t> began_ns{0};
    std::thread poster([&] {
      for (uint64_t i = 0; i < count; ++i) {
        while (!ring_.asleep()) pause_for(1000);
        pause_for(kFallAsleep_ns);
        Node node;
        const int64_t began = now_ns();
        began_ns.store(began, std::memory_order_relaxed);
        ring_.push(node);
        while (began_ns.load(std::memory_order_acquire) == began) pause_for(0);
      }
    });
    for (uint64_t i = 0; i < count; ++i) {
      ring_.wait();
      latency_ns += now_ns() - began_ns.load(std::memory_order_relaxed);
      began_ns.store(0, std::memory_order_release);
    }
    poster.join();
    return Measured(static_cast<double>(latency_ns) / static_cast<double>(count));
  }

 private:
  WakingRing ring_;
};

}  // namespace

MakeSide posts_to_awake() {
  return [] { return std::make_unique<PostsToAwake>(); };
}
MakeSide wake_ups() {
  return [] { return std::make_unique<WakeUps>(); };
}

}  // namespace weir::bench::raw
