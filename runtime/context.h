// Context variables: values that follow a computation, where a thread_local would follow the thread.
//
//   ContextVar<std::string> request_id("request_id", "-");
//   auto token = request_id.set("42");
//   co_await handle(request);     // request_id.get() is "42" in there, in what it spawns, in its calls into threads
//   request_id.reset(token);
//
// spawn() (so gather, race, groups and shield) and every call into a thread take a snapshot when they are called: later
// changes on either side stay there. An awaited Task, timeout and with share their caller's context. Outside a loop a
// thread has a context of its own.
//
// Threads: any; a ContextVar is read and set in the context of the calling thread or task. It may be destroyed before
// the contexts that hold a value of it. Values are shared by snapshots, so T's copy constructor and its
// destructor run on whatever thread uses or drops one.
// Cost: get() copies the value, found by binary search; set() allocates the value, and the table of values when a
// snapshot shares it; a snapshot is one atomic increment, and nothing while no variable is set.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "weir/runtime/errors.h"

namespace weir {

template <class T>
class ContextVar;

namespace internal {

// A value of some variable: immutable, shared by contexts and tokens.
class ContextValue {
 public:
  ContextValue() = default;
  ContextValue(const ContextValue&) = delete;
  ContextValue& operator=(const ContextValue&) = delete;
  virtual ~ContextValue() = default;

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }  // the caller holds one
  void release() {
    // acq_rel, with itself: whoever destroys the value sees all that the others did with it.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // True once, for the token of the set() that made this value.
  bool spend_token() { return !token_spent_.exchange(true, std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> references_{1};
  std::atomic<bool> token_spent_{false};
};

// One reference to a value, or none.
class ContextValueRef {
 public:
  ContextValueRef() = default;
  static ContextValueRef adopt(ContextValue* value) { return ContextValueRef(value); }
  static ContextValueRef share(ContextValue* value) {
    if (value != nullptr) value->retain();
    return ContextValueRef(value);
  }
  ContextValueRef(const ContextValueRef& other) : ContextValueRef(share(other.value_)) {}
  ContextValueRef(ContextValueRef&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  ContextValueRef& operator=(ContextValueRef other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~ContextValueRef() {
    if (value_ != nullptr) value_->release();
  }

  ContextValue* get() const { return value_; }

 private:
  explicit ContextValueRef(ContextValue* value) : value_(value) {}

  ContextValue* value_ = nullptr;
};

// The values of all variables that are set, by the variables' ids. Copying one is taking a snapshot. Each is used by
// one thread at a time; what copies share is immutable, and counted atomically.
class Context {
 public:
  constexpr Context() = default;
  Context(const Context& other) : table_(other.table_) {
    if (table_ != nullptr) retain(table_);
  }
  Context(Context&& other) noexcept : table_(std::exchange(other.table_, nullptr)) {}
  Context& operator=(Context other) noexcept {
    std::swap(table_, other.table_);
    return *this;
  }
  ~Context() { clear(); }

  bool empty() const { return table_ == nullptr; }

  // Of an empty one: copies `other`.
  void take_snapshot(const Context& other) {
    table_ = other.table_;
    if (table_ != nullptr) retain(table_);
  }
  void clear() {
    if (table_ != nullptr) release(std::exchange(table_, nullptr));
  }

  // The variable's value, null when unset. Valid until this context changes.
  ContextValue* find(uint64_t variable) const;

  // Sets it, to no value when `value` is none. Gives what was there before.
  ContextValueRef replace(uint64_t variable, ContextValueRef value);

  // What this thread's variables live in now: a slot of the task that runs, or the thread's own.
  static Context& current();

  // Makes another slot current and gives the one before; null stands for the thread's own. The loop's way round each
  // resume.
  static Context* exchange_current(Context* slot) noexcept { return std::exchange(current_, slot); }

 private:
  struct Table;

  static void retain(Table* table);
  static void release(Table* table);
  static Context& own();

  static thread_local constinit Context* current_;

  Table* table_ = nullptr;  // null: nothing is set
};

inline thread_local constinit Context* Context::current_ = nullptr;

inline Context& Context::current() { return current_ != nullptr ? *current_ : own(); }

// Makes a slot current until the scope ends, on one thread; scopes nest.
class ContextScope {
 public:
  explicit ContextScope(Context& slot) : before_(Context::exchange_current(&slot)) {}
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
  ~ContextScope() { Context::exchange_current(before_); }

 private:
  Context* before_;
};

uint64_t next_context_variable();
[[noreturn]] void throw_unset(const std::string& variable);
[[noreturn]] void throw_foreign_token(const std::string& variable);
[[noreturn]] void throw_spent_token(const std::string& variable);

}  // namespace internal

// Undoes one set(): pass it to reset() of the same variable. Copies count as one; dropping it keeps the value.
class Token {
 public:
  Token(const Token&) = default;
  Token(Token&&) noexcept = default;
  Token& operator=(const Token&) = default;
  Token& operator=(Token&&) noexcept = default;

 private:
  template <class T>
  friend class ContextVar;

  Token(uint64_t variable, internal::ContextValueRef made, internal::ContextValueRef before)
      : variable_(variable), made_(std::move(made)), before_(std::move(before)) {}

  uint64_t variable_;
  internal::ContextValueRef made_;
  internal::ContextValueRef before_;
};

template <class T>
class ContextVar {
 public:
  explicit ContextVar(std::string name) : name_(std::move(name)) {}
  ContextVar(std::string name, T default_value) : name_(std::move(name)), default_(std::move(default_value)) {}
  ContextVar(const ContextVar&) = delete;
  ContextVar& operator=(const ContextVar&) = delete;

  const std::string& name() const { return name_; }

  // The value, else the default; LookupError, with the variable's name, when there is neither.
  T get() const {
    const T* const value = find();
    if (value == nullptr) internal::throw_unset(name_);
    return *value;
  }

  // The value, else the default, else nothing.
  std::optional<T> try_get() const {
    const T* const value = find();
    return value != nullptr ? std::optional<T>(*value) : std::nullopt;
  }

  // In the current context, until the next set() or reset() there.
  Token set(T value) {
    auto made = internal::ContextValueRef::adopt(new Value(std::move(value)));
    auto before = internal::Context::current().replace(id_, made);
    return Token(id_, std::move(made), std::move(before));
  }

  // Gives the variable, in the current context, the value (or none) that it had before the token's set().
  // std::logic_error when the token is another variable's or was used before.
  void reset(Token token) {
    if (token.variable_ != id_) internal::throw_foreign_token(name_);
    if (token.made_.get() == nullptr || !token.made_.get()->spend_token()) internal::throw_spent_token(name_);
    internal::Context::current().replace(id_, std::move(token.before_));
  }

 private:
  struct Value final : internal::ContextValue {
    explicit Value(T v) : value(std::move(v)) {}
    const T value;
  };

  const T* find() const {
    auto* const held = static_cast<const Value*>(internal::Context::current().find(id_));
    if (held != nullptr) return &held->value;
    return default_ ? &*default_ : nullptr;
  }

  const uint64_t id_ = internal::next_context_variable();
  const std::string name_;
  const std::optional<T> default_;
};

}  // namespace weir
