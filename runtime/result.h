// What a coroutine ends with: a value (or a reference, or nothing), or an exception.
#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace weir::internal {

// One thread at a time. take() moves the value out, or rethrows the very exception object that was stored.
template <class T>
class Result {
 public:
  Result() noexcept {}
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  ~Result() { reset(); }

  template <class U>
  void set_value(U&& value) {
    std::construct_at(std::addressof(value_), std::forward<U>(value));
    state_ = State::kValue;
  }
  void set_failure(std::exception_ptr failure) noexcept {
    std::construct_at(std::addressof(failure_), std::move(failure));
    state_ = State::kFailure;
  }

  // What another ended with, which becomes empty; the failure of moving its value, if that throws.
  void take_over(Result& other) noexcept {
    if (other.state_ == State::kFailure) set_failure(std::move(other.failure_));
    if (other.state_ == State::kValue) {
      try {
        set_value(static_cast<T&&>(other.value_));
      } catch (...) {
        set_failure(std::current_exception());
      }
    }
    other.reset();
  }

  bool empty() const noexcept { return state_ == State::kEmpty; }
  bool has_value() const noexcept { return state_ == State::kValue; }
  std::exception_ptr failure() const noexcept { return state_ == State::kFailure ? failure_ : nullptr; }

  T& value() {
    if (state_ == State::kFailure) [[unlikely]] std::rethrow_exception(failure_);
    return value_;
  }
  T take() { return std::move(value()); }

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 does not see that state_ tells which member lives
#endif
  void reset() noexcept {
    if (state_ == State::kValue) std::destroy_at(std::addressof(value_));
    if (state_ == State::kFailure) std::destroy_at(std::addressof(failure_));
    state_ = State::kEmpty;
  }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

 private:
  enum class State : unsigned char { kEmpty, kValue, kFailure };
  union {
    T value_;
    std::exception_ptr failure_;
  };
  State state_ = State::kEmpty;
};

template <class T>
class Result<T&> {
 public:
  void set_value(T& value) noexcept { value_ = std::addressof(value); }
  void set_failure(std::exception_ptr failure) noexcept { failure_ = std::move(failure); }
  void take_over(Result& other) noexcept {
    value_ = std::exchange(other.value_, nullptr);
    failure_ = std::exchange(other.failure_, nullptr);
  }
  bool empty() const noexcept { return value_ == nullptr && !failure_; }
  bool has_value() const noexcept { return value_ != nullptr; }
  std::exception_ptr failure() const noexcept { return failure_; }
  T& value() {
    if (failure_) [[unlikely]] std::rethrow_exception(failure_);
    return *value_;
  }
  T& take() { return value(); }
  void reset() noexcept {
    value_ = nullptr;
    failure_ = nullptr;
  }

 private:
  T* value_ = nullptr;
  std::exception_ptr failure_;
};

template <class T>
class Result<T&&> : public Result<T&> {
 public:
  void set_value(T&& value) noexcept { Result<T&>::set_value(value); }
  T&& take() { return std::move(this->value()); }
};

template <>
class Result<void> {
 public:
  void set_value() noexcept { done_ = true; }
  void set_failure(std::exception_ptr failure) noexcept { failure_ = std::move(failure); }
  void take_over(Result& other) noexcept {
    done_ = std::exchange(other.done_, false);
    failure_ = std::exchange(other.failure_, nullptr);
  }
  bool empty() const noexcept { return !done_ && !failure_; }
  bool has_value() const noexcept { return done_; }
  std::exception_ptr failure() const noexcept { return failure_; }
  void value() {
    if (failure_) [[unlikely]] std::rethrow_exception(failure_);
  }
  void take() { value(); }
  void reset() noexcept {
    done_ = false;
    failure_ = nullptr;
  }

 private:
  std::exception_ptr failure_;
  bool done_ = false;
};

}  // namespace weir::internal
