#include "weir/runtime/io/serve.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "weir/runtime.h"
#include "weir/runtime/io/unix.h"
#include "weir/tests/testing/sockets.h"

namespace weir {
namespace {

using namespace testing;  // NOLINT: the names of tests/testing

Task<> echo(TcpStream stream) {
  std::string text(64, '\0');
  for (;;) {
    const auto count = co_await stream.read(writable_bytes(text));
    if (!count.ok() || *count == 0) co_return;
    if (!(co_await stream.write_all(as_bytes(std::string_view(text).substr(0, *count)))).ok()) co_return;
  }
}

Task<> ask(SocketAddress address) {
  TcpStream stream = (co_await TcpStream::connect(address)).value();
  std::string answer(5, '\0');
  EXPECT_TRUE((co_await stream.write_all(as_bytes("hello"))).ok());
  EXPECT_TRUE((co_await stream.read_exact(writable_bytes(answer))).ok());
  EXPECT_EQ(answer, "hello");
}

TEST(Serve, ServesUntilCancelled) {
  const int before = open_descriptors();
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    auto serving = spawn(serve(listener, echo));
    std::vector<JoinHandle<void>> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(spawn(ask(listener.local_address())));
    for (auto& client : clients) co_await client;
    TcpStream idle = (co_await TcpStream::connect(listener.local_address())).value();
    EXPECT_TRUE((co_await idle.write_all(as_bytes("x"))).ok());
    std::string text(1, '\0');
    EXPECT_TRUE((co_await idle.read_exact(writable_bytes(text))).ok());
    serving.cancel();
    EXPECT_THROW((void)co_await serving, Cancelled);
    EXPECT_EQ((co_await idle.read(writable_bytes(text))).value(), 0u);  // its handler is gone
  });
  EXPECT_EQ(open_descriptors(), before);
}

int reported = 0;

TEST(Serve, AHandlerThatThrowsEndsItsConnectionAlone) {
  reported = 0;
  LoopOptions options;
  options.on_unhandled = [](std::exception_ptr, std::string_view, void*) noexcept { ++reported; };
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    auto handler = [](TcpStream stream) -> Task<> {
      std::string text(1, '\0');
      (void)co_await stream.read_exact(writable_bytes(text));
      if (text == "!") throw std::runtime_error("a handler's own mistake");
      (void)co_await stream.write_all(as_bytes(text));
    };
    auto serving = spawn(serve(listener, handler));
    TcpStream good = (co_await TcpStream::connect(listener.local_address())).value();
    TcpStream bad = (co_await TcpStream::connect(listener.local_address())).value();
    std::string text(1, '\0');
    EXPECT_TRUE((co_await bad.write_all(as_bytes("!"))).ok());
    EXPECT_EQ((co_await bad.read(writable_bytes(text))).value(), 0u);
    EXPECT_TRUE((co_await good.write_all(as_bytes("x"))).ok());
    EXPECT_TRUE((co_await good.read_exact(writable_bytes(text))).ok());
    EXPECT_EQ(text, "x");
    serving.cancel();
    EXPECT_THROW((void)co_await serving, Cancelled);
  }, options);
  EXPECT_EQ(reported, 1);
}

TEST(Serve, AClosedListenerLetsHandlersFinish) {
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    auto serving = spawn(serve(listener, echo));
    TcpStream stream = (co_await TcpStream::connect(listener.local_address())).value();
    std::string text(1, '\0');
    EXPECT_TRUE((co_await stream.write_all(as_bytes("x"))).ok());
    EXPECT_TRUE((co_await stream.read_exact(writable_bytes(text))).ok());
    EXPECT_TRUE((co_await listener.close()).ok());
    EXPECT_TRUE((co_await stream.write_all(as_bytes("y"))).ok());
    EXPECT_TRUE((co_await stream.read_exact(writable_bytes(text))).ok());
    EXPECT_FALSE(serving.done());
    EXPECT_TRUE((co_await stream.close()).ok());
    EXPECT_EQ((co_await serving).code(), absl::StatusCode::kCancelled);
  });
}

// A listener that has no descriptors left for a while.
class ShortListener {
 public:
  explicit ShortListener(TcpListener& listener) : listener_(listener) {}
  Task<absl::StatusOr<TcpStream>> accept() {
    if (++accepts_ <= 3) co_return internal::errno_status(accepts_ == 2 ? ENFILE : EMFILE, "accept");
    co_return co_await listener_.accept();
  }
  int accepts() const { return accepts_; }

 private:
  TcpListener& listener_;
  int accepts_ = 0;
};

TEST(Serve, SurvivesThatNoDescriptorsAreLeft) {
  on_loop([]() -> Task<> {
    TcpListener listener = TcpListener::bind(loopback()).value();
    ShortListener scarce(listener);
    const auto start = std::chrono::steady_clock::now();
    auto serving = spawn(serve(scarce, echo));
    co_await ask(listener.local_address());
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(30));  // 5 + 10 + 20: no busy loop
    EXPECT_EQ(scarce.accepts(), 5);
    serving.cancel();
    EXPECT_THROW((void)co_await serving, Cancelled);
  });
}

TEST(Serve, PausesLongerAndLonger) {
  internal::AcceptPause pause;
  const absl::Status full = internal::errno_status(EMFILE, "accept");
  EXPECT_EQ(pause.after(full), absl::Milliseconds(5));
  EXPECT_EQ(pause.after(full), absl::Milliseconds(10));
  for (int i = 0; i < 10; ++i) (void)pause.after(full);
  EXPECT_EQ(pause.after(full), absl::Milliseconds(320));
  pause.reset();
  EXPECT_EQ(pause.after(full), absl::Milliseconds(5));
  EXPECT_EQ(pause.after(internal::errno_status(EBADF, "accept")), absl::ZeroDuration());
  EXPECT_EQ(pause.after(internal::errno_status(ECANCELED, "accept")), absl::ZeroDuration());
}

TEST(Serve, TakesUnixListeners) {
  on_loop([]() -> Task<> {
    UnixListener listener = UnixListener::bind(*SocketAddress::parse("unix:@weir-serve-test-" + std::to_string(getpid()))).value();
    auto handler = [](UnixStream stream) -> Task<absl::Status> { co_return co_await stream.write_all(as_bytes("hi")); };
    auto serving = spawn(serve(listener, handler));
    UnixStream client = (co_await UnixStream::connect(listener.local_address())).value();
    std::string text(2, '\0');
    EXPECT_TRUE((co_await client.read_exact(writable_bytes(text))).ok());
    serving.cancel();
    EXPECT_THROW((void)co_await serving, Cancelled);
  });
}

}  // namespace
}  // namespace weir
