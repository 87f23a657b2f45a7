// serve: a task for each connection that comes in.
//
//   auto answer = [](weir::TcpStream stream) -> weir::Task<> { … };
//   absl::Status status = co_await weir::serve(listener, answer);
//
// Runs until it is cancelled: then the handlers are cancelled and waited for. It also ends when the listener is closed or
// broken: then the handlers may finish, and accept()'s status is the result. When no descriptors are left (EMFILE, ENFILE)
// or the network is down, connections wait in the backlog, and it tries again after 5, 10 … 320 ms.
// What a handler throws ends that connection alone, and goes to LoopOptions::on_unhandled; what it returns is dropped.
// Loop's thread; the listener outlives the call. The handler is called on the loop for each connection, and kept until
// all have ended. Cost: a task a connection, and one request for many (multishot accept, Linux 5.19; before, one for each).
#pragma once

#include <cerrno>
#include <exception>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weir/runtime/awaitable.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/io/tcp.h"
#include "weir/runtime/status.h"
#include "weir/runtime/task_group.h"
#include "weir/runtime/time.h"
#include "weir/runtime/with.h"

namespace weir {
namespace internal {

// How long to wait before accept() is tried again after one that failed; zero: the listener is of no use any more.
class AcceptPause {
 public:
  AcceptPause() = default;
  absl::Duration after(const absl::Status& status);
  void reset() noexcept { pause_ = kFirst; }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(5);
  static constexpr absl::Duration kLast = absl::Milliseconds(320);
  absl::Duration pause_ = kFirst;
};

template <class Handler, class Stream>
Task<void> handle_connection(Handler& handler, Stream stream) {
  try {
    (void)co_await handler(std::move(stream));
  } catch (...) {
    if (Root::current().interrupted()) throw;  // the group is cancelled
    report_unhandled(std::current_exception());
  }
}

// How serve() gets at a listener's connections.
struct ServeAccess {
  template <class Listener>
  static AcceptSource source(Listener& listener) {
    return listener.accept_source();
  }
  template <class Stream>
  static Stream stream(OwnedDescriptor connection) {
    return Stream(std::move(connection));
  }
};

// The connections of a listener of weir's; of another kind, whatever its accept() gives.
template <class Stream>
class StreamSource {
 public:
  explicit StreamSource(AcceptSource source) noexcept : source_(std::move(source)) {}
  Task<absl::StatusOr<Stream>> accept() { return made(source_.next()); }
  Task<void> close() { return source_.close(); }

 private:
  static Task<absl::StatusOr<Stream>> made(Task<absl::StatusOr<OwnedDescriptor>> next) {
    absl::StatusOr<OwnedDescriptor> connection = co_await std::move(next);
    if (!connection.ok()) co_return connection.status();
    co_return ServeAccess::stream<Stream>(*std::move(connection));
  }

  AcceptSource source_;
};

template <class Source, class Handler>
Task<absl::Status> accept_into(TaskGroup& group, Source& source, Handler& handler) {
  AcceptPause pause;
  for (;;) {
    auto stream = co_await source.accept();
    if (stream.ok()) {
      pause.reset();
      group.spawn(internal::handle_connection(handler, std::move(*stream)));
      continue;
    }
    const absl::Duration wait = pause.after(stream.status());
    if (wait == absl::ZeroDuration()) {
      co_await group.join();
      co_return stream.status();
    }
    co_await sleep_for(wait);
  }
}

}  // namespace internal

template <class Listener, class Handler>
Task<absl::Status> serve(Listener& listener, Handler handler) {
  if constexpr (std::is_base_of_v<internal::SocketListener, Listener>) {
    using Source = internal::StreamSource<typename Listener::Stream>;
    const auto accepting = [&listener, &handler](TaskGroup& group) {
      const auto accept = [&group, &handler](Source& source) { return internal::accept_into(group, source, handler); };
      return with(Source(internal::ServeAccess::source(listener)), accept);
    };
    co_return co_await with(TaskGroup(), accepting);
  } else {
    const auto accepting = [&listener, &handler](TaskGroup& group) { return internal::accept_into(group, listener, handler); };
    co_return co_await with(TaskGroup(), accepting);
  }
}

}  // namespace weir
