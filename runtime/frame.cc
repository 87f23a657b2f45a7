#include "weir/runtime/frame.h"

#include <utility>

namespace weir::internal {
namespace {

enum class CacheState : uint8_t { kNew, kOpen, kClosed };
thread_local constinit CacheState cache_state = CacheState::kNew;

// Closes the thread's cache when the thread ends. What is freed later, by destructors of other thread_locals, finds no
// room and goes to operator delete.
struct CacheCloser {
  ~CacheCloser() {
    cache_state = CacheState::kClosed;
    for (FrameCache::Class& list : frame_cache.classes) {
      list.room = 0;
      while (list.first != nullptr) {
        FrameCache::FreeFrame* const frame = list.first;
        list.first = frame->next;
        ::operator delete(frame);
      }
    }
  }
  void touch() {}
};
thread_local CacheCloser cache_closer;

void open_cache() {
  cache_closer.touch();  // the first use registers its destructor
  cache_state = CacheState::kOpen;
  for (size_t size_class = 1; size_class < frame_cache.classes.size(); ++size_class) {
    frame_cache.classes[size_class].room = static_cast<uint32_t>(kRecycledBytesMax / (size_class * kFrameClassBytes));
  }
}

struct DeferredFrame {
  std::coroutine_handle<> frame;
  DeferredFrame* next = nullptr;
};
thread_local constinit DeferredFrame* first_deferred = nullptr;
thread_local constinit DeferredFrame* last_deferred = nullptr;

}  // namespace

// The class's list is empty: its whole size, so that whoever gets the frame next has it.
void* FrameCache::allocate_slow(size_t size_class) { return ::operator new(size_class * kFrameClassBytes); }

void FrameCache::free_slow(void* frame, size_t size_class) {
  if (cache_state != CacheState::kNew) return ::operator delete(frame);
  open_cache();
  free_frame(frame, size_class * kFrameClassBytes);
}

void DestroyDepth::defer(std::coroutine_handle<> frame) noexcept {
  auto* const node = new (allocate_frame(sizeof(DeferredFrame))) DeferredFrame{frame};
  (first_deferred == nullptr ? first_deferred : last_deferred->next) = node;
  last_deferred = node;
  destroy_depth.deferred = true;
}

void DestroyDepth::destroy_deferred() noexcept {
  // One below the outermost, so that what is put aside meanwhile comes here too.
  ++destroy_depth.depth;
  while (first_deferred != nullptr) {
    DeferredFrame* const node = first_deferred;
    first_deferred = node->next;
    const std::coroutine_handle<> frame = node->frame;
    free_frame(node, sizeof(DeferredFrame));
    frame.destroy();
  }
  --destroy_depth.depth;
  destroy_depth.deferred = false;
}

}  // namespace weir::internal
