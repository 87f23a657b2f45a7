// What a storm counts, and what it finds wrong.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace storm {

// Any thread. Empty at the end, or the storm has failed.
class Findings {
 public:
  void add(std::string what) {
    const std::lock_guard lock(mutex_);
    if (kept_.size() < kKept) kept_.push_back(std::move(what));
  }
  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return kept_;
  }

 private:
  static constexpr std::size_t kKept = 20;  // the first ones tell the story

  mutable std::mutex mutex_;
  std::vector<std::string> kept_;
};

// Goes with each function, argument and item of a storm: when all is over, none is alive. Moving one keeps its number.
class Witness {
 public:
  explicit Witness(std::atomic<int64_t>& alive, uint64_t number = 0) : alive_(&alive), number_(number) { ++*alive_; }
  Witness(const Witness& other) : Witness(*other.alive_, other.number_) {}
  Witness(Witness&& other) noexcept : Witness(*other.alive_, other.number_) {}
  Witness& operator=(const Witness& other) noexcept {
    ++*other.alive_;
    --*std::exchange(alive_, other.alive_);
    number_ = other.number_;
    return *this;
  }
  ~Witness() { --*alive_; }

  uint64_t number() const { return number_; }

 private:
  std::atomic<int64_t>* alive_;
  uint64_t number_;
};

struct Tally {
  std::atomic<int64_t> alive{0};       // witnesses
  std::atomic<uint64_t> operations{0};
  std::atomic<uint64_t> cancelled{0};  // those that ended by a cancel or a deadline
};

}  // namespace storm
