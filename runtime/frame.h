// Memory of coroutine frames (and of other records that come and go with calls), and their destruction.
//
//   class Promise : public RecycledMemory { … };      // its coroutine's frames
//   destroy_frame(handle);                            // not handle.destroy()
//
// Threads: any. A frame may be freed on another thread than the one that allocated it: it joins that thread's list.
// Cost: 2 ns for a pair that finds a recycled frame, no atomics. Each thread keeps, for each class of 64 bytes up to
// 4 KiB, at most 1 MiB of what it freed; the rest, larger frames, and all of a thread that ends, go to operator delete.
// Under AddressSanitizer and ThreadSanitizer nothing is recycled, so that a use after free is seen.
#pragma once

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEIR_RECYCLE_FRAMES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WEIR_RECYCLE_FRAMES 0
#endif
#endif
#ifndef WEIR_RECYCLE_FRAMES
#define WEIR_RECYCLE_FRAMES 1
#endif

namespace weir::internal {

inline constexpr size_t kFrameClassBytes = 64;
inline constexpr size_t kRecycledFrameMax = 4096;
inline constexpr size_t kRecycledBytesMax = size_t{1} << 20;  // of each class, on each thread

// The frames that a thread has freed, by size in units of kFrameClassBytes.
struct FrameCache {
  struct FreeFrame {
    FreeFrame* next;
  };
  struct Class {
    FreeFrame* first = nullptr;
    uint32_t room = 0;  // how many more frames may join; 0 also before the cache is opened, and after it was closed
  };
  std::array<Class, kRecycledFrameMax / kFrameClassBytes + 1> classes{};

  static void* allocate_slow(size_t size_class);
  static void free_slow(void* frame, size_t size_class);
};

inline thread_local constinit FrameCache frame_cache;

inline size_t frame_class(size_t size) { return (size + kFrameClassBytes - 1) / kFrameClassBytes; }

// At least `size` bytes, aligned as operator new aligns. Throws std::bad_alloc.
[[nodiscard]] inline void* allocate_frame(size_t size) {
  if (!WEIR_RECYCLE_FRAMES || size > kRecycledFrameMax) return ::operator new(size);
  const size_t size_class = frame_class(size);
  FrameCache::Class& list = frame_cache.classes[size_class];
  FrameCache::FreeFrame* const frame = list.first;
  if (frame == nullptr) [[unlikely]] return FrameCache::allocate_slow(size_class);
  list.first = frame->next;
  ++list.room;
  return frame;
}

// `size` as it was allocated.
inline void free_frame(void* memory, size_t size) noexcept {
  if (!WEIR_RECYCLE_FRAMES || size > kRecycledFrameMax) return ::operator delete(memory);
  const size_t size_class = frame_class(size);
  FrameCache::Class& list = frame_cache.classes[size_class];
  if (list.room == 0) [[unlikely]] return FrameCache::free_slow(memory, size_class);
  list.first = new (memory) FrameCache::FreeFrame{list.first};
  --list.room;
}

// A base of what is made of such memory: the promise of a coroutine, for its frame, or a record.
class RecycledMemory {
 public:
  static void* operator new(size_t size) { return allocate_frame(size); }
  static void operator delete(void* memory, size_t size) noexcept { free_frame(memory, size); }

 protected:
  RecycledMemory() = default;
  ~RecycledMemory() = default;
};

inline constexpr int kNestedDestroyMax = 64;

struct DestroyDepth {
  int depth = 0;
  bool deferred = false;

  static void defer(std::coroutine_handle<> frame) noexcept;
  static void destroy_deferred() noexcept;
};

inline thread_local constinit DestroyDepth destroy_depth;

// Destroys a suspended frame in constant stack. Destroying a frame destroys the Tasks in it, whose frames hold Tasks in
// turn. Down to kNestedDestroyMax that nests, as C++ does it: what is inside goes before what it lies in. A frame
// deeper than that is put aside and destroyed by the outermost call, first in, first out, when the frames around it are
// gone: its destructors must not use what those owned.
inline void destroy_frame(std::coroutine_handle<> frame) noexcept {
  DestroyDepth& here = destroy_depth;
  if (here.depth == kNestedDestroyMax) [[unlikely]] return DestroyDepth::defer(frame);
  ++here.depth;
  frame.destroy();
  if (--here.depth == 0 && here.deferred) [[unlikely]] DestroyDepth::destroy_deferred();
}

}  // namespace weir::internal
