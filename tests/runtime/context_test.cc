#include "weir/runtime/context.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

using internal::Context;
using internal::ContextScope;

// Counts the values that are alive.
struct Counted {
  explicit Counted(int v) : value(v) { alive.fetch_add(1); }
  Counted(const Counted& other) : value(other.value) { alive.fetch_add(1); }
  ~Counted() { alive.fetch_sub(1); }
  int value;
  static std::atomic<int> alive;
};
std::atomic<int> Counted::alive{0};

TEST(ContextVarTest, UnsetNamesTheVariable) {
  ContextVar<int> depth("depth");
  EXPECT_EQ(depth.name(), "depth");
  EXPECT_EQ(depth.try_get(), std::nullopt);
  try {
    depth.get();
    FAIL() << "get() of an unset variable returned";
  } catch (const LookupError& error) {
    EXPECT_NE(std::string(error.what()).find("depth"), std::string::npos);
  }
}

TEST(ContextVarTest, DefaultUntilSet) {
  Context context;
  ContextScope scope(context);
  ContextVar<std::string> user("user", "nobody");
  EXPECT_EQ(user.get(), "nobody");
  EXPECT_EQ(user.try_get(), "nobody");
  const Token token = user.set("root");
  EXPECT_EQ(user.get(), "root");
  user.reset(token);
  EXPECT_EQ(user.get(), "nobody");
}

TEST(ContextVarTest, ResetRestoresWhatWasBefore) {
  Context context;
  ContextScope scope(context);
  ContextVar<int> depth("depth");
  const Token first = depth.set(1);
  const Token second = depth.set(2);
  const Token third = depth.set(3);
  depth.reset(third);
  EXPECT_EQ(depth.get(), 2);
  depth.set(20);
  depth.reset(second);
  EXPECT_EQ(depth.get(), 1);
  depth.reset(first);
  EXPECT_EQ(depth.try_get(), std::nullopt);
  EXPECT_TRUE(context.empty());
}

TEST(ContextVarTest, ATokenServesOnce) {
  Context context;
  ContextScope scope(context);
  ContextVar<int> depth("depth");
  ContextVar<int> other("other");
  Token token = depth.set(1);
  const Token copy = token;
  EXPECT_THROW(other.reset(token), std::logic_error);
  EXPECT_EQ(depth.get(), 1);
  depth.reset(token);
  depth.set(2);
  EXPECT_THROW(depth.reset(token), std::logic_error);
  EXPECT_THROW(depth.reset(copy), std::logic_error);
  EXPECT_EQ(depth.get(), 2);
  Token moved = depth.set(3);
  depth.reset(std::move(moved));
  EXPECT_THROW(depth.reset(std::move(moved)), std::logic_error);  // NOLINT(bugprone-use-after-move)
  try {
    depth.reset(token);
  } catch (const std::logic_error& error) {
    EXPECT_NE(std::string(error.what()).find("depth"), std::string::npos);
  }
}

TEST(ContextVarTest, VariablesOfOneNameAreDistinct) {
  Context context;
  ContextScope scope(context);
  ContextVar<int> one("same");
  ContextVar<int> two("same");
  one.set(1);
  EXPECT_EQ(two.try_get(), std::nullopt);
}

TEST(ContextVarTest, ManyVariables) {
  Context context;
  ContextScope scope(context);
  std::vector<std::unique_ptr<ContextVar<int>>> variables;
  for (int i = 0; i < 100; ++i) variables.push_back(std::make_unique<ContextVar<int>>("v" + std::to_string(i)));
  std::vector<Token> tokens;
  for (int i = 0; i < 100; ++i) tokens.push_back(variables[i * 37 % 100]->set(i * 37 % 100));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(variables[i]->get(), i);
  for (int i = 0; i < 100; i += 2) variables[i * 37 % 100]->reset(tokens[i]);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(variables[i * 37 % 100]->try_get().has_value(), i % 2 == 1);
}

TEST(ContextTest, ASnapshotDoesNotSeeLaterChanges) {
  ContextVar<int> depth("depth");
  ContextVar<int> width("width");
  Context original;
  {
    ContextScope scope(original);
    depth.set(1);
  }
  Context snapshot = original;
  {
    ContextScope scope(original);
    depth.set(2);
    width.set(7);
  }
  {
    ContextScope scope(snapshot);
    EXPECT_EQ(depth.get(), 1);
    EXPECT_EQ(width.try_get(), std::nullopt);
    depth.set(3);
  }
  ContextScope scope(original);
  EXPECT_EQ(depth.get(), 2);
}

TEST(ContextTest, AResetInASnapshotStaysThere) {
  ContextVar<int> depth("depth");
  Context original;
  std::optional<Token> token;
  {
    ContextScope scope(original);
    token = depth.set(1);
  }
  Context snapshot = original;
  {
    ContextScope scope(snapshot);
    depth.reset(*token);
    EXPECT_EQ(depth.try_get(), std::nullopt);
    EXPECT_TRUE(snapshot.empty());
  }
  ContextScope scope(original);
  EXPECT_EQ(depth.get(), 1);
}

TEST(ContextTest, ScopesNestAndRestore) {
  ContextVar<int> depth("depth");
  Context& own = Context::current();
  Context outer;
  Context inner;
  {
    ContextScope outer_scope(outer);
    EXPECT_EQ(&Context::current(), &outer);
    depth.set(1);
    {
      ContextScope inner_scope(inner);
      EXPECT_EQ(&Context::current(), &inner);
      EXPECT_EQ(depth.try_get(), std::nullopt);
    }
    EXPECT_EQ(depth.get(), 1);
  }
  EXPECT_EQ(&Context::current(), &own);
  EXPECT_EQ(depth.try_get(), std::nullopt);
}

TEST(ContextTest, ExchangeCurrentGivesTheSlotBefore) {
  Context& own = Context::current();
  Context slot;
  Context* const before = Context::exchange_current(&slot);
  EXPECT_EQ(&Context::current(), &slot);
  EXPECT_EQ(Context::exchange_current(before), &slot);
  EXPECT_EQ(&Context::current(), &own);
  // Null stands for the thread's own.
  ContextScope scope(slot);
  Context::exchange_current(nullptr);
  EXPECT_EQ(&Context::current(), &own);
}

TEST(ContextTest, ValuesAreDestroyedWithTheLastHolder) {
  ASSERT_EQ(Counted::alive.load(), 0);
  ContextVar<Counted> counted("counted");
  auto context = std::make_unique<Context>();
  auto snapshot = std::make_unique<Context>();
  {
    ContextScope scope(*context);
    counted.set(Counted(1));
    EXPECT_EQ(Counted::alive.load(), 1);
    *snapshot = *context;
    counted.set(Counted(2));
    EXPECT_EQ(Counted::alive.load(), 2);
    EXPECT_EQ(counted.get().value, 2);
  }
  context.reset();
  EXPECT_EQ(Counted::alive.load(), 1);
  {
    ContextScope scope(*snapshot);
    const Token token = counted.set(Counted(3));
    EXPECT_EQ(Counted::alive.load(), 2);
    counted.reset(token);
    EXPECT_EQ(counted.get().value, 1);
  }
  EXPECT_EQ(Counted::alive.load(), 1);
  snapshot.reset();
  EXPECT_EQ(Counted::alive.load(), 0);
}

TEST(ContextTest, OutlivesTheVariable) {
  ASSERT_EQ(Counted::alive.load(), 0);
  auto context = std::make_unique<Context>();
  {
    ContextScope scope(*context);
    auto counted = std::make_unique<ContextVar<Counted>>("counted");
    counted->set(Counted(1));
    counted.reset();
    EXPECT_EQ(Counted::alive.load(), 1);
    // A variable made since then has none of its values.
    ContextVar<Counted> another("counted");
    EXPECT_FALSE(another.try_get().has_value());
    another.set(Counted(2));
    EXPECT_EQ(another.get().value, 2);
  }
  context.reset();
  EXPECT_EQ(Counted::alive.load(), 0);
}

// A value whose destructor uses a variable, as a logging guard would.
struct ReadsWhenDestroyed {
  ReadsWhenDestroyed(ContextVar<int>* variable, std::optional<int>* into) : from(variable), to(into) {}
  ~ReadsWhenDestroyed() {
    *to = from->try_get();
    from->set(5);
  }
  ContextVar<int>* from;
  std::optional<int>* to;
};

TEST(ContextTest, AValuesDestructorMayUseVariables) {
  Context context;
  ContextScope scope(context);
  ContextVar<int> depth("depth");
  ContextVar<std::shared_ptr<ReadsWhenDestroyed>> guard("guard");
  std::optional<int> seen;
  depth.set(4);
  guard.set(std::make_shared<ReadsWhenDestroyed>(&depth, &seen));
  EXPECT_EQ(seen, std::nullopt);
  guard.set(nullptr);
  EXPECT_EQ(seen, 4);
  EXPECT_EQ(depth.get(), 5);
}

TEST(ContextTest, AThreadHasItsOwnAndDropsItAtItsEnd) {
  ASSERT_EQ(Counted::alive.load(), 0);
  ContextVar<Counted> counted("counted");
  std::thread([&] {
    EXPECT_FALSE(counted.try_get().has_value());
    counted.set(Counted(1));
    EXPECT_EQ(counted.get().value, 1);
  }).join();
  EXPECT_EQ(Counted::alive.load(), 0);
  EXPECT_FALSE(counted.try_get().has_value());
}

TEST(ContextTest, ASnapshotCarriedToAnotherThread) {
  ContextVar<std::string> user("user");
  Context here;
  ContextScope scope(here);
  user.set("root");
  std::string seen;
  std::thread([&seen, &user, snapshot = Context::current()]() mutable {
    ContextScope inside(snapshot);
    seen = user.get();
    user.set("guest");
  }).join();
  EXPECT_EQ(seen, "root");
  EXPECT_EQ(user.get(), "root");
}

TEST(ContextTest, ThreadsShareSnapshots) {
  ASSERT_EQ(Counted::alive.load(), 0);
  {
    ContextVar<Counted> counted("counted");
    ContextVar<int> mine("mine");
    Context shared;
    {
      ContextScope scope(shared);
      counted.set(Counted(42));
    }
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, base = shared, t]() mutable {
        for (int i = 0; i < 2000; ++i) {
          Context snapshot = base;
          ContextScope scope(snapshot);
          const Token token = mine.set(t);
          EXPECT_EQ(counted.get().value, 42);
          EXPECT_EQ(mine.get(), t);
          const Token other = counted.set(Counted(i));
          EXPECT_EQ(counted.get().value, i);
          counted.reset(other);
          mine.reset(token);
          Context again = snapshot;
          base = std::move(again);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(Counted::alive.load(), 0);
}

}  // namespace
}  // namespace weir
