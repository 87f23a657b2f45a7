#include "weir/runtime/root.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/tests/testing/scripted_loop.h"

namespace weir::internal {
namespace {

using testing::ScriptedLoop;

// A place to wait in, left by leave() of the test. Awaited through a reference, as g++ 12 copies an awaiter that a lambda
// has captured.
class Place final : public Suspension {
 public:
  class Awaiter {
   public:
    explicit Awaiter(Place& place) noexcept : place_(place) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> point) noexcept {
      place_.root_ = thread_state.root;
      place_.root_->wait(point, place_);
    }
    void await_resume() const noexcept {}

   private:
    Place& place_;
  };
  Awaiter wait() noexcept { return Awaiter(*this); }
  void cancel() noexcept override { ++cancels; }
  void leave() noexcept { root_->ready(); }
  int cancels = 0;

 private:
  Root* root_ = nullptr;
};

TEST(Root, IsKnownInItsTaskOnly) {
  EXPECT_THROW((void)Root::current(), LookupError);
  ScriptedLoop loop;
  const auto test = []() -> Task<> {
    EXPECT_EQ(Root::current().name(), "run");
    JoinHandle<void> named = spawn([]() -> Task<> {
      EXPECT_EQ(Root::current().name(), "the name");
      co_return;
    }(), "the name");
    co_await named;
  };
  loop->run(test());
  EXPECT_THROW((void)Root::current(), LookupError);
}

TEST(Root, ACancelReachesThePlaceOnceAndTheTaskWaitsOn) {
  ScriptedLoop loop;
  Place place;
  bool resumed = false;
  const auto waits = [&]() -> Task<> {
    co_await place.wait();
    resumed = true;
    co_await yield();
    ADD_FAILURE() << "a cancelled task went on";
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(waits());
    co_await yield();
    handle.cancel();
    handle.cancel();
    EXPECT_EQ(place.cancels, 1);
    co_await yield();
    EXPECT_FALSE(resumed);  // the place has not let go
    place.leave();
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop->run(test());
  EXPECT_TRUE(resumed);
}

TEST(Root, ACancelAfterReadyDoesNotReachThePlace) {
  ScriptedLoop loop;
  Place place;
  bool resumed = false;
  const auto waits = [&]() -> Task<> {
    co_await place.wait();
    resumed = true;
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(waits());
    co_await yield();
    place.leave();
    handle.cancel();
    co_await handle;  // no further co_await in it: it has succeeded
  };
  loop->run(test());
  EXPECT_TRUE(resumed);
  EXPECT_EQ(place.cancels, 0);
}

TEST(Root, ATaskThatCancelsItselfGoesOnToItsNextAwait) {
  ScriptedLoop loop;
  JoinHandle<void> handle;
  bool went_on = false;
  const auto itself = [&]() -> Task<> {
    handle.cancel();
    went_on = true;
    co_await yield();
    ADD_FAILURE() << "a cancelled task went on";
  };
  const auto test = [&]() -> Task<> {
    handle = spawn(itself());
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop->run(test());
  EXPECT_TRUE(went_on);
}

TEST(Root, ACancelIsAStateUntilTheEnd) {
  ScriptedLoop loop;
  int thrown = 0;
  const auto stubborn = [&]() -> Task<> {
    for (int i = 0; i < 3; ++i) {
      try {
        co_await yield();
      } catch (const Cancelled&) {
        ++thrown;
      }
    }
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(stubborn());
    co_await yield();
    handle.cancel();
    co_await handle;
  };
  loop->run(test());
  EXPECT_EQ(thrown, 2);  // one yield was under way
}

TEST(CancelScope, InterruptsWhatRunsInsideAndEndsWithIt) {
  ScriptedLoop loop;
  const auto test = []() -> Task<> {
    Root& root = Root::current();
    {
      CancelScope outer(root, CancelScope::Kind::kOpen);
      {
        CancelScope inner(root, CancelScope::Kind::kOpen);
        inner.cancel();
        EXPECT_TRUE(root.interrupted());
        EXPECT_FALSE(inner.outer_interrupted());
        EXPECT_THROW(co_await yield(), Cancelled);
      }
      EXPECT_FALSE(root.interrupted());
      co_await yield();
      CancelScope inner(root, CancelScope::Kind::kOpen);
      outer.cancel();
      EXPECT_TRUE(root.interrupted());
      EXPECT_TRUE(inner.outer_interrupted());
    }
    EXPECT_FALSE(root.interrupted());
    EXPECT_FALSE(root.cancelled());
    co_await yield();
  };
  loop->run(test());
}

TEST(CancelScope, AMaskHidesWhatIsOutside) {
  ScriptedLoop loop;
  Place place;
  bool after_mask = false;
  const auto masked = [&]() -> Task<> {
    Root& root = Root::current();
    {
      const CancelScope mask(root, CancelScope::Kind::kMask);
      co_await place.wait();
      EXPECT_TRUE(root.cancelled());
      EXPECT_FALSE(root.interrupted());
      co_await yield();
      {
        CancelScope open(root, CancelScope::Kind::kOpen);  // inside the mask a deadline still works
        open.cancel();
        EXPECT_TRUE(root.interrupted());
        EXPECT_FALSE(open.outer_interrupted());
      }
      co_await yield();
    }
    EXPECT_TRUE(root.interrupted());
    after_mask = true;
    co_await yield();
    ADD_FAILURE() << "a cancelled task went on";
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(masked());
    co_await yield();
    handle.cancel();
    EXPECT_EQ(place.cancels, 0);
    place.leave();
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop->run(test());
  EXPECT_TRUE(after_mask);
}

TEST(CancelScope, ADeadlineReachesThePlaceInsideIt) {
  ScriptedLoop loop;
  Place place;
  std::optional<CancelScope> scope;
  const auto waits = [&]() -> Task<> {
    scope.emplace(Root::current(), CancelScope::Kind::kOpen);
    co_await place.wait();
    EXPECT_THROW(co_await yield(), Cancelled);
    scope.reset();
    co_await yield();
  };
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(waits());
    co_await yield();
    scope->cancel();
    scope->cancel();
    EXPECT_EQ(place.cancels, 1);
    handle.cancel();  // interrupted already: the place is not told again
    EXPECT_EQ(place.cancels, 1);
    place.leave();
    EXPECT_THROW(co_await handle, Cancelled);
  };
  loop->run(test());
}

// Against the definition: a root is interrupted when a scope, from the innermost outwards to the first mask and with it,
// is cancelled, or, without a mask, the root itself.
class ScopeModel {
 public:
  explicit ScopeModel(Root& root) : root_(root) {}

  void push(CancelScope::Kind kind) {
    scopes_.push_back(std::make_unique<CancelScope>(root_, kind));
    kinds_.push_back(kind);
  }
  void pop() {
    scopes_.pop_back();
    kinds_.pop_back();
  }
  void cancel(std::size_t which) { scopes_[which]->cancel(); }
  std::size_t size() const { return scopes_.size(); }

  void check() const {
    ASSERT_EQ(root_.interrupted(), interrupted_within(scopes_.size()));
    if (!scopes_.empty()) {
      ASSERT_EQ(scopes_.back()->outer_interrupted(), interrupted_within(scopes_.size() - 1));
    }
  }

 private:
  bool interrupted_within(std::size_t size) const {
    for (std::size_t i = size; i-- != 0;) {
      if (scopes_[i]->cancelled()) return true;
      if (kinds_[i] == CancelScope::Kind::kMask) return false;
    }
    return root_.cancelled();
  }

  Root& root_;
  std::vector<std::unique_ptr<CancelScope>> scopes_;
  std::vector<CancelScope::Kind> kinds_;
};

TEST(CancelScope, RandomNestsFollowTheDefinition) {
  ScriptedLoop loop;
  const auto walk = [](uint64_t seed) -> Task<> {
    std::mt19937_64 random(seed);
    ScopeModel model(Root::current());
    for (int step = 0; step < 400; ++step) {
      const uint64_t choice = random() % 16;
      if (choice < 6) {
        model.push(random() % 3 == 0 ? CancelScope::Kind::kMask : CancelScope::Kind::kOpen);
      } else if (choice < 11) {
        if (model.size() != 0) model.pop();
      } else if (choice < 15) {
        if (model.size() != 0) model.cancel(random() % model.size());
      } else if (step > 200) {
        Root::current().cancel();
      }
      model.check();
    }
    while (model.size() != 0) model.pop();
    model.check();
    co_return;
  };
  const auto test = [&]() -> Task<> {
    for (uint64_t seed = 0; seed < 100; ++seed) {
      auto handle = spawn(walk(seed));
      co_await handle;
    }
  };
  loop->run(test());
}

// A step that looked at all scopes, or at all listeners, would take half a million million steps here.
TEST(CancelScope, DeepNestsCostNoMoreThanFlatOnes) {
  constexpr int kDepth = 1'000'000;
  ScriptedLoop loop;
  const auto test = []() -> Task<> {
    Root& root = Root::current();
    std::vector<std::unique_ptr<CancelScope>> scopes;
    for (int i = 0; i < kDepth; ++i) {
      scopes.push_back(std::make_unique<CancelScope>(root, i % 2 == 0 ? CancelScope::Kind::kMask : CancelScope::Kind::kOpen));
    }
    for (auto& scope : scopes) scope->cancel();
    EXPECT_TRUE(root.interrupted());
    while (!scopes.empty()) scopes.pop_back();
    EXPECT_FALSE(root.interrupted());
    co_return;
  };
  loop->run(test());
}

TEST(Root, ManyListenersCostNoMoreThanFew) {
  constexpr int kListeners = 1'000'000;
  ScriptedLoop loop;
  class Counter final : public DoneListener {
   public:
    explicit Counter(int& told) : told_(told) {}
    void root_done(Root&) noexcept override { ++told_; }

   private:
    int& told_;
  };
  int told = 0;
  std::vector<std::unique_ptr<Counter>> listeners;
  for (int i = 0; i < kListeners; ++i) listeners.push_back(std::make_unique<Counter>(told));
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(sleep_for(absl::Milliseconds(1)));
    Root& root = JoinAccess::state(handle);
    for (auto& listener : listeners) root.listen(*listener);
    for (int i = kListeners; i-- != 1;) root.unlisten(*listeners[static_cast<std::size_t>(i)]);
    co_await handle;
  };
  loop->run(test());
  EXPECT_EQ(told, 1);
}

TEST(Root, ListenersAreToldInOrderAndMayLeave) {
  ScriptedLoop loop;
  class Listener final : public DoneListener {
   public:
    Listener(int number, std::vector<int>& told) : number_(number), told_(told) {}
    void root_done(Root& root) noexcept override {
      EXPECT_TRUE(root.done());
      told_.push_back(number_);
    }

   private:
    const int number_;
    std::vector<int>& told_;
  };
  std::vector<int> told;
  Listener first(1, told), second(2, told), third(3, told);
  const auto test = [&]() -> Task<> {
    JoinHandle<void> handle = spawn(sleep_for(absl::Milliseconds(1)));
    Root& root = JoinAccess::state(handle);
    root.listen(first);
    root.listen(second);
    root.listen(third);
    root.unlisten(second);
    root.unlisten(second);  // not there: nothing happens
    co_await handle;
  };
  loop->run(test());
  EXPECT_EQ(told, (std::vector<int>{1, 3}));
}

}  // namespace
}  // namespace weir::internal
