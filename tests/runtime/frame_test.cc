#include "weir/runtime/frame.h"

#include <gtest/gtest.h>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace {
std::atomic<int64_t> blocks_alive{0};
}

// Counts, so that a test sees what went back. Under a sanitizer its own operators stay, which find a leak themselves.
#if WEIR_RECYCLE_FRAMES
[[gnu::noinline]] void* operator new(size_t size) {
  void* const block = std::malloc(size != 0 ? size : 1);
  if (block == nullptr) throw std::bad_alloc();
  blocks_alive.fetch_add(1, std::memory_order_relaxed);
  return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept {
  if (block != nullptr) blocks_alive.fetch_sub(1, std::memory_order_relaxed);
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, size_t) noexcept { ::operator delete(block); }
#endif

namespace weir::internal {
namespace {

// A coroutine that owns others by its parameters: never resumed, so that destroying it destroys them.
class Nest {
 public:
  struct promise_type {
    static void* operator new(size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, size_t size) { free_frame(frame, size); }
    Nest get_return_object() { return Nest(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
  Nest() = default;
  Nest(Nest&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Nest& operator=(Nest other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~Nest() {
    if (frame_) destroy_frame(frame_);
  }

 private:
  explicit Nest(std::coroutine_handle<> frame) : frame_(frame) {}
  std::coroutine_handle<> frame_;
};

struct Mark {
  Mark(std::vector<int>* order, int number) : to(order), id(number) {}
  Mark(Mark&& other) noexcept : to(std::exchange(other.to, nullptr)), id(other.id) {}
  ~Mark() {
    if (to != nullptr) to->push_back(id);
  }
  std::vector<int>* to;
  int id;
};

Nest leaf(Mark) { co_return; }
Nest around(Mark, Nest) { co_return; }
Nest around_two(Mark, Nest, Nest) { co_return; }

TEST(FrameTest, BlocksAreDistinctAlignedAndWritable) {
  std::vector<std::pair<void*, size_t>> blocks;
  std::set<void*> distinct;
  for (int round = 0; round < 2; ++round) {
    for (size_t size = 1; size <= kRecycledFrameMax + 200; size += 13) {
      void* const block = allocate_frame(size);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % __STDCPP_DEFAULT_NEW_ALIGNMENT__, 0u);
      std::memset(block, static_cast<int>(size), size);
      EXPECT_TRUE(distinct.insert(block).second);
      blocks.emplace_back(block, size);
    }
    for (auto [block, size] : blocks) {
      EXPECT_EQ(static_cast<unsigned char*>(block)[0], static_cast<unsigned char>(size));
      EXPECT_EQ(static_cast<unsigned char*>(block)[size - 1], static_cast<unsigned char>(size));
      free_frame(block, size);
    }
    blocks.clear();
    distinct.clear();
  }
}

TEST(FrameTest, ABlockServesEverySizeOfItsClass) {
  void* block = allocate_frame(65);
  std::memset(block, 1, 65);
  free_frame(block, 65);
  block = allocate_frame(128);
  std::memset(block, 2, 128);
  free_frame(block, 128);
}

#if WEIR_RECYCLE_FRAMES
TEST(FrameTest, RecyclesTheLastFreed) {
  void* const block = allocate_frame(100);
  free_frame(block, 100);
  void* const again = allocate_frame(120);
  EXPECT_EQ(again, block);
  free_frame(again, 120);
}

TEST(FrameTest, WhatAThreadKeepsIsBoundedAndGoesBackWhenItEnds) {
  for (const size_t size : {size_t{64}, size_t{1000}, kRecycledFrameMax}) {
    const size_t limit = kRecycledBytesMax / (frame_class(size) * kFrameClassBytes);
    const size_t count = limit + 100;
    std::vector<void*> blocks(count);
    const int64_t before = blocks_alive.load();
    int64_t kept = 0;
    std::thread([&] {
      const int64_t start = blocks_alive.load();
      for (void*& block : blocks) block = allocate_frame(size);
      EXPECT_EQ(blocks_alive.load() - start, static_cast<int64_t>(count));
      for (void* block : blocks) free_frame(block, size);
      kept = blocks_alive.load() - start;
    }).join();
    EXPECT_EQ(kept, static_cast<int64_t>(limit)) << size;
    EXPECT_LE(blocks_alive.load(), before) << size;
  }
}
#endif

TEST(FrameTest, FreedOnAnotherThread) {
  constexpr int kBlocks = 2000;
  for (int round = 0; round < 3; ++round) {
    std::vector<void*> blocks(kBlocks);
    for (int i = 0; i < kBlocks; ++i) blocks[i] = allocate_frame(64 + i % 512);
    std::thread([&] {
      for (int i = 0; i < kBlocks; ++i) free_frame(blocks[i], 64 + i % 512);
      for (int i = 0; i < kBlocks; ++i) blocks[i] = allocate_frame(64 + i % 512);
    }).join();
    for (int i = 0; i < kBlocks; ++i) free_frame(blocks[i], 64 + i % 512);
  }
}

struct FreesLate {
  ~FreesLate() {
    for (void* block : blocks) free_frame(block, 200);
    free_frame(allocate_frame(200), 200);
  }
  std::array<void*, 3> blocks{};
};
thread_local FreesLate frees_late;

TEST(FrameTest, FreedAfterTheThreadsCacheIsGone) {
  const int64_t before = blocks_alive.load();
  std::thread([] {
    // Constructed before the cache is opened, so destroyed after it was closed.
    for (void*& block : frees_late.blocks) block = allocate_frame(200);
    free_frame(allocate_frame(300), 300);
  }).join();
  EXPECT_LE(blocks_alive.load(), before);
}

TEST(DestroyFrameTest, InsideBeforeOutside) {
  std::vector<int> order;
  {
    Nest nest = leaf(Mark(&order, 0));
    for (int i = 1; i < kNestedDestroyMax; ++i) nest = around(Mark(&order, i), std::move(nest));
  }
  ASSERT_EQ(order.size(), static_cast<size_t>(kNestedDestroyMax));
  // A compiler may destroy parameters first to last or last to first.
  std::vector<int> marks = order;
  if (marks.front() != 0) std::reverse(marks.begin(), marks.end());
  for (int i = 0; i < kNestedDestroyMax; ++i) EXPECT_EQ(marks[i], i);
}

// On a stack that a recursion of this depth would overrun many times.
template <class Body>
void on_small_stack(Body body) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, size_t{512} << 10), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* argument) -> void* {
                  (*static_cast<Body*>(argument))();
                  return nullptr;
                },
                &body),
            0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

TEST(DestroyFrameTest, ADeepChainTakesConstantStack) {
  constexpr int kDepth = 100'000;
  on_small_stack([] {
    std::vector<int> order;
    for (int round = 0; round < 2; ++round) {
      order.clear();
      Nest nest = leaf(Mark(&order, 0));
      for (int i = 1; i < kDepth; ++i) nest = around(Mark(&order, i), std::move(nest));
      nest = Nest();
      ASSERT_EQ(order.size(), static_cast<size_t>(kDepth));
      EXPECT_EQ(std::set<int>(order.begin(), order.end()).size(), static_cast<size_t>(kDepth));
      EXPECT_EQ(destroy_depth.depth, 0);
      EXPECT_FALSE(destroy_depth.deferred);
    }
  });
}

TEST(DestroyFrameTest, ADeepAndWideTree) {
  constexpr int kDepth = 3000;
  on_small_stack([] {
    std::vector<int> order;
    int id = 0;
    Nest nest = leaf(Mark(&order, id++));
    for (int i = 1; i < kDepth; ++i) {
      Nest side = leaf(Mark(&order, id++));
      for (int j = 0; j < i % 100; ++j) side = around(Mark(&order, id++), std::move(side));
      nest = around_two(Mark(&order, id++), std::move(nest), std::move(side));
    }
    nest = Nest();
    EXPECT_EQ(order.size(), static_cast<size_t>(id));
    EXPECT_EQ(std::set<int>(order.begin(), order.end()).size(), order.size());
  });
}

}  // namespace
}  // namespace weir::internal
