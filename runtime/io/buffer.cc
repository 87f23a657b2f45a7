#include "weir/runtime/io/buffer.h"

#include <bit>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "weir/runtime/io/block_store.h"
#include "weir/runtime/io/io_state.h"
#include "weir/runtime/loop.h"

namespace weir {
namespace internal {

// The blocks of a BufferPool: those that are home in a list, the newest first; tasks that wait for one.
class PoolStore final : public BlockStore {
 public:
  PoolStore(Engine& engine, const BufferPoolOptions& options)
      : BlockStore(engine, static_cast<uint32_t>(options.count), static_cast<uint32_t>(options.size), options.alignment) {
    for (uint32_t block = block_count(); block-- != 0;) put(block);
    if (options.registered) slot_ = IoState::of(engine).registered().add(data(0), memory_size());
    registered_.set(slot_ >= 0);
    retain();  // for the BufferPool
  }

  // The BufferPool goes. Any thread.
  void abandon() noexcept {
    if (here()) {
      close();
    } else {
      const ControlRef control = ControlRef::share(this->control());
      auto* const closing_it = new Closing(*this);
      if (control->push(*closing_it)) return;
      delete closing_it;  // the loop is at its end, where it closes its stores
    }
    release();
  }

  void check_usable() const {
    if (here() && &thread_state.engine->control() == control()) return;
    throw std::logic_error("BufferPool::acquire(): of the tasks of the pool's own loop, while that is alive");
  }

  uint32_t take() noexcept {
    if (free_ == kNone || !waiters_->empty()) return kNone;
    const uint32_t block = free_;
    free_ = link(block);
    free_count_.subtract();
    leased(true);
    return block;
  }

  void wait(BufferPool::Acquire::Awaiter& waiter, std::coroutine_handle<> point) noexcept;
  void no_longer_waits() noexcept { waiting_.subtract(); }

  Buffer buffer(uint32_t block) noexcept { return BufferAccess::make(*this, block, data(block), block_size(), block_size()); }

  int registered_slot(const LoopControl* loop) const noexcept override { return loop == control() ? slot_ : -1; }

  BufferPoolStats stats() const noexcept {
    BufferPoolStats stats;
    stats.count = block_count();
    stats.free = free_count_.read();
    stats.leased = BlockStore::leased();
    stats.waiting = waiting_.read();
    stats.acquired = acquired_.read();
    stats.waited = waited_.read();
    stats.returned_elsewhere = returned_elsewhere();
    stats.registered = registered_.read() != 0;
    return stats;
  }

 private:
  // The BufferPool was dropped on another thread, on its way to the loop.
  class Closing final : public internal::InboxNode {
   public:
    explicit Closing(PoolStore& store) noexcept : store_(store) {}
    void deliver() noexcept override {
      store_.close();
      store_.release();
      delete this;
    }

   private:
    PoolStore& store_;
  };

  void put(uint32_t block) noexcept {
    link(block) = free_;
    free_ = block;
    free_count_.add();
  }

  void leased(bool now) noexcept {
    lease();
    acquired_.add();
    if (!now) waited_.add();
  }

  void came_home(uint32_t block) noexcept override;

  void closing() noexcept override {
    waiters_.reset();
    waiting_.set(0);
    IoState* const state = IoState::if_made(engine());
    if (slot_ >= 0 && state != nullptr) state->registered().remove(slot_);
    slot_ = -1;
    registered_.set(0);
  }

  uint32_t free_ = kNone;
  int slot_ = -1;
  std::optional<WaitList> waiters_{std::in_place};  // until it is closed
  Counter free_count_;
  Counter waiting_;
  Counter acquired_;
  Counter waited_;
  Counter registered_;
};

void PoolStore::wait(BufferPool::Acquire::Awaiter& waiter, std::coroutine_handle<> point) noexcept {
  if (waiter.block_ == kNone) waiting_.add();
  waiter.wait_in(*waiters_, point);
}

void PoolStore::came_home(uint32_t block) noexcept {
  Waiter* const first = waiters_->first();
  if (first == nullptr) return put(block);
  static_cast<BufferPool::Acquire::Awaiter*>(first)->block_ = block;
  waiting_.subtract();
  leased(false);
  waiters_->grant(*first);
}

namespace {

// A block of its own, from the heap.
class HeapBlock final : public BlockHome {
 public:
  static Buffer make(std::size_t size) {
    void* const memory = ::operator new(sizeof(HeapBlock) + size);
    auto* const block = new (memory) HeapBlock;
    return BufferAccess::make(*block, 0, static_cast<std::byte*>(memory) + sizeof(HeapBlock), size, size);
  }
  void give_back(uint32_t) noexcept override {
    this->~HeapBlock();
    ::operator delete(this);
  }

 private:
  HeapBlock() = default;
  ~HeapBlock() = default;
};

}  // namespace

Buffer BufferAccess::copy_of(const Buffer& buffer) {
  Buffer copy = HeapBlock::make(buffer.size());
  if (!buffer.empty()) std::memcpy(copy.data(), buffer.data(), buffer.size());
  return copy;
}

int BufferAccess::registered_slot(const Buffer& buffer) noexcept {
  if (buffer.home_ == nullptr || thread_state.engine == nullptr) return -1;
  return buffer.home_->registered_slot(&thread_state.engine->control());
}

}  // namespace internal

void Buffer::go_home() noexcept { home_->give_back(block_); }

void Buffer::resize(std::size_t size) {
  if (size > capacity_) throw std::logic_error(absl::StrCat("Buffer::resize(): ", size, " bytes, and the block has ", capacity_));
  size_ = static_cast<uint32_t>(size);
}

void Buffer::remove_prefix(std::size_t count) {
  if (count > size_) throw std::logic_error(absl::StrCat("Buffer::remove_prefix(): ", count, " of ", size_, " bytes"));
  data_ += count;
  size_ -= static_cast<uint32_t>(count);
  capacity_ -= static_cast<uint32_t>(count);
}

absl::StatusOr<BufferPool> BufferPool::create(Loop& loop, BufferPoolOptions options) {
  constexpr std::size_t kCountMax = std::size_t{1} << 24;
  constexpr std::size_t kSizeMax = std::size_t{1} << 30;
  if (options.count == 0 || options.count > kCountMax || options.size == 0 || options.size > kSizeMax) {
    return absl::InvalidArgumentError(absl::StrCat("BufferPool: ", options.count, " blocks of ", options.size, " bytes; count is 1 to ",
                                                   kCountMax, ", size 1 to ", kSizeMax));
  }
  if (!std::has_single_bit(options.alignment) || options.alignment > kSizeMax) {
    return absl::InvalidArgumentError(absl::StrCat("BufferPool: an alignment of ", options.alignment, "; it is a power of two, up to ", kSizeMax));
  }
  try {
    return BufferPool(new internal::PoolStore(internal::LoopAccess::engine(loop), options));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("BufferPool: no memory for ", options.count, " blocks of ", options.size, " bytes"));
  }
}

BufferPool::~BufferPool() {
  if (store_ != nullptr) store_->abandon();
}

BufferPool::Acquire BufferPool::acquire() {
  if (store_ == nullptr) throw std::logic_error("BufferPool::acquire(): moved from");
  return Acquire(*store_);
}

BufferPool::Acquire::Acquire(internal::PoolStore& store) noexcept : store_(&store) { store.retain(); }
BufferPool::Acquire::~Acquire() {
  if (store_ != nullptr) store_->release();
}

bool BufferPool::Acquire::Awaiter::await_ready() {
  may_go_on();
  store_.check_usable();
  block_ = store_.take();
  return block_ != internal::PoolStore::kNone && pass();
}

void BufferPool::Acquire::Awaiter::await_suspend(std::coroutine_handle<> point) noexcept { store_.wait(*this, point); }

Buffer BufferPool::Acquire::Awaiter::await_resume() const {
  finish();
  return store_.buffer(block_);
}

void BufferPool::Acquire::Awaiter::gave_up() noexcept { store_.no_longer_waits(); }

BufferPoolStats BufferPool::stats() const { return store_ == nullptr ? BufferPoolStats() : store_->stats(); }

}  // namespace weir
