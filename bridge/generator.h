// A generator: a coroutine that hands out one item after another to whoever iterates, on the iterating thread.
//
//   Generator<std::string> lines(std::string path) {
//     std::ifstream file(path);
//     for (std::string line; std::getline(file, line);) co_yield line;
//   }
//   for (std::string line : lines("/etc/hosts")) use(line);
//
// A one-pass input range and view; moves only. Nothing runs before begin(); each ++ runs the body to its next co_yield.
// What the body throws comes out of begin() or ++, once; the range has then ended. Destroying a Generator that has not
// ended destroys its frame where it stands, so everything its body holds is released.
//
//   Generator<T>         items are T&&, so an item can be moved from: also for move-only T. A co_yield of an lvalue
//                        copies it, co_yield std::move(x) and temporaries are handed out in place.
//   Generator<T&>        items are the very objects that the body yields; Generator<const T&> likewise.
//
// The body is synchronous: it may block its thread, and cannot co_await. threaded_iterable() runs it on a thread of its
// own for a loop. Threads: a Generator may move between threads while its body does not run. Cost: one allocation, the
// frame; an item is a resume, without allocation.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>

namespace weir {

template <class T>
class [[nodiscard]] Generator : public std::ranges::view_base {
 public:
  class promise_type;
  class Iterator;
  using Value = std::remove_cvref_t<T>;
  using Reference = T&&;  // T& when T is a reference already

  Generator() noexcept = default;  // an empty range
  Generator(Generator&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Generator& operator=(Generator&& other) noexcept {
    Generator(std::move(other)).swap(*this);
    return *this;
  }
  ~Generator() {
    if (frame_) frame_.destroy();
  }

  void swap(Generator& other) noexcept { std::swap(frame_, other.frame_); }

  // Runs the body to its first co_yield; again: stays at the item where it is. Throws what the body throws.
  Iterator begin() {
    if (frame_ && !frame_.promise().started_) frame_.promise().advance(frame_);
    return Iterator(frame_);
  }
  std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  using Frame = std::coroutine_handle<promise_type>;

  explicit Generator(Frame frame) noexcept : frame_(frame) {}

  Frame frame_;
};

template <class T>
class Generator<T>::promise_type {
 public:
  Generator get_return_object() noexcept { return Generator(Frame::from_promise(*this)); }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  std::suspend_always final_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { error_ = std::current_exception(); }

  // The item stays where it is: in the body's variables, or in its full-expression, which lives until the next resume.
  std::suspend_always yield_value(Reference item) noexcept {
    item_ = std::addressof(item);
    return {};
  }

  // The item is handed out as an rvalue, and the body keeps its own: a copy in the frame, until the next resume.
  class CopiedItem {
   public:
    CopiedItem(const Value& item, promise_type& promise) : copy_(item), promise_(promise) {}
    CopiedItem(const CopiedItem&) = delete;
    CopiedItem& operator=(const CopiedItem&) = delete;
    bool await_ready() const noexcept { return false; }
    void await_suspend(Frame) noexcept { promise_.item_ = std::addressof(copy_); }
    void await_resume() const noexcept {}

   private:
    Value copy_;
    promise_type& promise_;
  };
  CopiedItem yield_value(const Value& item)
    requires(!std::is_reference_v<T> && !std::is_const_v<T> && std::copy_constructible<Value>)
  {
    return CopiedItem(item, *this);
  }

  template <class Awaitable>
  void await_transform(Awaitable&&) = delete;  // a generator's body is synchronous

 private:
  friend class Generator;
  friend class Iterator;

  void advance(Frame frame) {
    started_ = true;
    frame.resume();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  std::add_pointer_t<Reference> item_ = nullptr;
  std::exception_ptr error_;
  bool started_ = false;
};

// Moves only, as the range is one-pass.
template <class T>
class Generator<T>::Iterator {
 public:
  using value_type = Value;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  Iterator() noexcept = default;
  Iterator(Iterator&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Iterator& operator=(Iterator&& other) noexcept {
    frame_ = std::exchange(other.frame_, nullptr);
    return *this;
  }
  ~Iterator() = default;

  Reference operator*() const noexcept { return static_cast<Reference>(*frame_.promise().item_); }

  // Runs the body to its next co_yield. Throws what the body throws; the range has then ended.
  Iterator& operator++() {
    frame_.promise().advance(frame_);
    return *this;
  }
  void operator++(int) { ++*this; }

  friend bool operator==(const Iterator& iterator, std::default_sentinel_t) noexcept {
    return !iterator.frame_ || iterator.frame_.done();
  }

 private:
  friend class Generator;

  explicit Iterator(Frame frame) noexcept : frame_(frame) {}

  Frame frame_;
};

}  // namespace weir
