// Every order in which a loop, a pool, a channel, a stream and foreign threads may end, each with work in every state.
// Whatever the order: everybody who waits is released with an exception that says why, and no thread, descriptor or
// item is left over.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weir/tests/testing/loop.h"
#include "weir/tests/testing/test_loop.h"
#include "weir/tests/testing/threads.h"
#include "weir/weir.h"

namespace weir {
namespace {

using testing::Gate;

// What jobs, items and frames hold.
class Held {
 public:
  explicit Held(std::atomic<int>& alive) : alive_(&alive) { ++*alive_; }
  Held(const Held& other) : Held(*other.alive_) {}
  Held& operator=(const Held&) = delete;
  ~Held() { --*alive_; }

 private:
  std::atomic<int>* alive_;
};

int entries_of(const char* folder) {
  const std::filesystem::directory_iterator entries(folder);
  return static_cast<int>(std::distance(begin(entries), end(entries)));
}

// Threads that have ended are gone from the system an instant later.
void wait_until_threads_are(int count) {
  while (entries_of("/proc/self/task") > count) std::this_thread::yield();
}

// A loop, a pool and everything that can be between them, in the midst of their work.
class Scene {
 public:
  Scene() {
    pool_.emplace(ThreadPoolOptions{.size = 2, .name = "scene"});
    loop_.emplace();
    (*loop_)->set_default_executor(&*pool_);
    loop_->run(begin());
  }

  int released() const { return released_; }
  int alive() const { return alive_; }

  void end_loop() {
    if (!loop_) return;
    release_jobs_.open();
    loop_->destroy();
    loop_.reset();
  }
  void end_pool() {
    release_jobs_.open();
    pool_->shutdown();
  }
  void end_channel() { channel_.reset(); }
  void end_streams() {
    streams_.clear();
    next_.reset();
  }
  void end_calls() { calls_.clear(); }
  void end_threads() {
    if (!thread_.joinable()) return;
    // Released by the end of the loop, or of the channel, that it waits for.
    if (loop_) end_loop();
    end_channel();
    thread_.join();
    putter_.join();
  }

 private:
  Task<> begin() {
    // A call that runs, and calls that are queued behind it and the stream.
    const auto job = threaded([this](Held) { release_jobs_.wait(); });
    calls_.push_back(job(Held(alive_)));
    // A stream whose producer is blocked, on a thread of its own; one that is queued; one that nobody has started.
    const auto endless = [this](Sink<Held>& sink) {
      const Held frame(alive_);
      for (;;) sink.put(Held(alive_));
    };
    streams_.push_back(threaded_iterable_separate(endless, {.max_size = 1})());
    (void)co_await streams_.back().next();
    // A job that waits for a coroutine which never ends.
    const auto waiter = threaded([this](Held) {
      try {
        sync_await([this]() -> Task<> {
          waiting_.open();
          Event never;
          co_await never.wait();
        });
      } catch (const LoopClosed&) {
        ++released_;
      }
    });
    calls_.push_back(waiter(Held(alive_)));
    while (!waiting_.is_open()) co_await yield();
    for (int i = 0; i < 5; ++i) calls_.push_back(job(Held(alive_)));
    streams_.push_back(threaded_iterable(endless, {.max_size = 1})());
    next_ = spawn([stream = &streams_]() -> Task<> { (void)co_await (*stream)[1].next(); });
    streams_.push_back(threaded_iterable(endless)());
    // A foreign thread in sync_wait_coroutine, and one in a put on a full channel.
    channel_.emplace(ChannelOptions{.max_size = 1});
    channel_->put(Held(alive_));
    thread_ = std::thread([this, handle = LoopHandle::current()] {
      try {
        for (;;) sync_wait_coroutine(handle, [] { return sleep_for(absl::Seconds(3600)); });
      } catch (const LoopClosed&) {
        ++released_;
      }
    });
    putter_ = std::thread([this, sender = channel_->sender()] {
      try {
        for (;;) sender.put(Held(alive_));
      } catch (const ChannelClosed&) {
        ++released_;
      }
    });
    while (channel_->stats().producer_sleeps == 0) co_await yield();
    co_await tests::settle();
  }

  std::atomic<int> alive_{0};
  std::atomic<int> released_{0};
  Gate release_jobs_, waiting_;
  std::optional<ThreadPool> pool_;
  std::optional<testing::TestLoop> loop_;
  std::optional<FromThreadChannel<Held>> channel_;
  std::vector<IteratorWrapper<Held>> streams_;
  std::optional<JoinHandle<void>> next_;
  std::vector<Call<void>> calls_;
  std::thread thread_, putter_;
};

using Step = void (Scene::*)();

void play(const std::vector<int>& order) {
  static constexpr std::array<Step, 6> kSteps{&Scene::end_loop,    &Scene::end_pool,  &Scene::end_channel,
                                              &Scene::end_streams, &Scene::end_calls, &Scene::end_threads};
  auto scene = std::make_unique<Scene>();
  for (const int step : order) std::invoke(kSteps[static_cast<std::size_t>(step)], *scene);
  EXPECT_EQ(scene->alive(), 0);
  EXPECT_EQ(scene->released(), 3);
}

std::string text_of(const std::vector<int>& order) {
  std::string text;
  for (const int step : order) text += std::to_string(step) + " ";
  return text;
}

// The pool is shut down under a job that waits for the loop only after the loop has gone: before, that would wait for the
// job for ever, as it should.
bool can_be(const std::vector<int>& order) {
  const auto place = [&order](int step) { return std::find(order.begin(), order.end(), step); };
  return std::min(place(0), place(5)) < place(1);
}

class Shutdown : public ::testing::TestWithParam<int> {};

// Which of the steps comes first is the parameter.
TEST_P(Shutdown, EveryOrderReleasesEverybody) {
  std::vector<int> order{0, 1, 2, 3, 4, 5};
  play(order);  // what is made once, such as the first thread's stack
  const int threads = entries_of("/proc/self/task");
  const int descriptors = entries_of("/proc/self/fd");
  do {
    if (order[0] != GetParam() || !can_be(order)) continue;
    SCOPED_TRACE(text_of(order));
    play(order);
    wait_until_threads_are(threads);
    EXPECT_EQ(entries_of("/proc/self/fd"), descriptors);
  } while (std::next_permutation(order.begin(), order.end()) && !::testing::Test::HasFailure());
}

INSTANTIATE_TEST_SUITE_P(Steps, Shutdown, ::testing::Values(0, 2, 3, 4, 5));

}  // namespace
}  // namespace weir
