// Buffer: a leased block of memory. BufferPool: where a program gets them.
//
//   auto pool = weir::BufferPool::create(loop, {.count = 64, .size = 16384});
//   weir::Buffer buffer = co_await pool->acquire();                       // waits for a free one
//   absl::StatusOr<size_t> count = co_await file.read_at(buffer, 0);      // registered: the kernel need not map it again
//
// A Buffer is the only user of its block until it is dropped: then the block goes home, from any thread, also when the pool
// or the loop is gone already (the memory lives as long as its last lease). TcpStream::receive() gives Buffers, too: of the
// loop's provided blocks. It converts to absl::Span<const std::byte>, so as_text(buffer) and write_all(buffer) work.
//
// Threads: a Buffer may be moved to, used and dropped on any thread, by one at a time. acquire() is for the tasks of the
// pool's loop. The BufferPool itself may be dropped on any thread; who still waits in acquire() gets std::logic_error.
// Cancelling acquire(): first in, first out; a waiter that is cancelled neither loses nor keeps a block.
// Cost: all memory in one allocation, at create(). acquire() and the drop on the loop: no allocation, no system call, no
// atomic operation. The drop on another thread: an atomic exchange; the loop is woken if it sleeps.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weir/runtime/sync/waiter.h"

namespace weir {

class Loop;

namespace internal {
class BlockHome;
class PoolStore;
struct BufferAccess;
}  // namespace internal

class [[nodiscard("a Buffer goes home when it is dropped")]] Buffer {
 public:
  Buffer() = default;  // empty
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~Buffer() {
    if (home_ != nullptr) go_home();
  }

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }           // bytes; of acquire(): the whole block; of receive(): what came
  std::size_t capacity() const noexcept { return capacity_; }   // bytes from data() to the end of the block
  bool empty() const noexcept { return size_ == 0; }

  absl::Span<std::byte> span() noexcept { return {data_, size_}; }
  absl::Span<const std::byte> span() const noexcept { return {data_, size_}; }

  // The first `size` bytes; up to capacity(), beyond it std::logic_error. Leaves the bytes as they are.
  void resize(std::size_t size);
  // Without the first `count` bytes, at most size().
  void remove_prefix(std::size_t count);

 private:
  friend struct internal::BufferAccess;

  void go_home() noexcept;
  void swap(Buffer& other) noexcept {
    std::swap(home_, other.home_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(block_, other.block_);
  }

  internal::BlockHome* home_ = nullptr;
  std::byte* data_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
  uint32_t block_ = 0;
};

struct BufferPoolOptions {
  std::size_t count = 64;
  std::size_t size = 65536;       // bytes of each, at most 1 GiB
  std::size_t alignment = 4096;   // of each block's address, a power of two; what O_DIRECT demands: File::io_alignment()
  bool registered = true;         // with the ring; where the kernel refuses (stats() says so), plain requests do it
};

// Of this moment, but for the last three, which count since the pool was made.
struct BufferPoolStats {
  uint64_t count = 0;
  uint64_t free = 0;
  uint64_t leased = 0;               // or on their way home
  uint64_t waiting = 0;              // in acquire()
  uint64_t acquired = 0;
  uint64_t waited = 0;               // of those, how many found no free one
  uint64_t returned_elsewhere = 0;   // dropped on another thread
  bool registered = false;
};

class BufferPool {
 public:
  // On the loop's thread, or before its first run. kInvalidArgument: a count or size of 0, or too many; an alignment that is
  // no power of two. kResourceExhausted: no memory.
  static absl::StatusOr<BufferPool> create(Loop& loop, BufferPoolOptions options);

  BufferPool(BufferPool&& other) noexcept : store_(std::exchange(other.store_, nullptr)) {}
  BufferPool& operator=(BufferPool&& other) noexcept {
    const BufferPool old(std::move(*this));
    store_ = std::exchange(other.store_, nullptr);
    return *this;
  }
  ~BufferPool();

  class [[nodiscard("acquire() does nothing until it is awaited")]] Acquire {
   public:
    explicit Acquire(internal::PoolStore& store) noexcept;
    Acquire(Acquire&& other) noexcept : store_(std::exchange(other.store_, nullptr)) {}
    Acquire& operator=(Acquire&&) = delete;
    ~Acquire();

    class Awaiter final : public internal::Waiter {
     public:
      explicit Awaiter(internal::PoolStore& store) noexcept : store_(store) {}
      bool await_ready();
      void await_suspend(std::coroutine_handle<> point) noexcept;
      Buffer await_resume() const;

     private:
      friend class internal::PoolStore;
      void gave_up() noexcept override;
      internal::PoolStore& store_;
      uint32_t block_ = 0;
    };
    Awaiter operator co_await() const noexcept { return Awaiter(*store_); }

   private:
    internal::PoolStore* store_;  // one reference: the pool may go before it is awaited
  };

  // Waits for a free block. A pool that was moved from, another loop's pool, one whose loop is gone: std::logic_error.
  Acquire acquire();

  // Any thread: each number is recent, together they are no snapshot.
  BufferPoolStats stats() const;

 private:
  explicit BufferPool(internal::PoolStore* store) noexcept : store_(store) {}

  internal::PoolStore* store_;
};

namespace internal {

// For the rest of io/.
struct BufferAccess {
  static Buffer make(BlockHome& home, uint32_t block, std::byte* data, std::size_t size, std::size_t capacity) noexcept {
    Buffer buffer;
    buffer.home_ = &home;
    buffer.data_ = data;
    buffer.size_ = static_cast<uint32_t>(size);
    buffer.capacity_ = static_cast<uint32_t>(capacity);
    buffer.block_ = block;
    return buffer;
  }
  // The bytes in memory of their own, so that the block may go home.
  static Buffer copy_of(const Buffer& buffer);
  // Where its memory is registered with the loop that runs here; -1: nowhere.
  static int registered_slot(const Buffer& buffer) noexcept;
};

}  // namespace internal
}  // namespace weir
