#include "weir/tools/tour/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "weir/runtime/engine.h"
#include "weir/runtime/loop.h"
#include "weir/runtime/ring.h"
#include "weir/tools/tour/progress.h"

namespace tour {
namespace {

struct Feature {
  unsigned flag;
  std::string_view name;
};

// What a ring was set up with, by weir's choice of what this kernel has.
constexpr std::array kSetup = {
    Feature{IORING_SETUP_SUBMIT_ALL, "submit all"},
    Feature{IORING_SETUP_SINGLE_ISSUER, "single issuer"},
    Feature{IORING_SETUP_DEFER_TASKRUN, "deferred task work"},
    Feature{IORING_SETUP_COOP_TASKRUN, "cooperative task work"},
    Feature{IORING_SETUP_TASKRUN_FLAG, "task work flag"},
};
constexpr std::array kOperations = {
    Feature{IORING_OP_READ, "read"},           Feature{IORING_OP_WRITE, "write"},
    Feature{IORING_OP_SEND, "send"},           Feature{IORING_OP_RECV, "receive"},
    Feature{IORING_OP_POLL_ADD, "poll"},       Feature{IORING_OP_ASYNC_CANCEL, "cancel"},
};

std::string row(std::string_view title, std::string_view text) {
  constexpr std::size_t kTitleWidth = 10;
  std::string line(title);
  line.resize(kTitleWidth, ' ');
  return line.append(text) + "\n";
}

std::string count_of(uint64_t number, std::string_view one, std::string_view more = {}) {
  std::string text = grouped(number) + " ";
  if (number == 1) return text.append(one);
  return more.empty() ? text.append(one).append("s") : text.append(more);
}

std::string kernel() {
  utsname system{};
  ::uname(&system);
  const weir::internal::Ring& ring = weir::internal::LoopAccess::engine(weir::Loop::current()).ring();
  std::string text = std::string("Linux ") + system.release + ", io_uring with " + std::to_string(ring.submission_entries()) +
                     " submission and " + std::to_string(ring.completion_entries()) + " completion entries";
  for (const Feature& feature : kSetup) {
    if ((ring.setup_flags() & feature.flag) != 0) text.append(", ").append(feature.name);
  }
  for (const Feature& operation : kOperations) {
    if (!ring.supports(static_cast<int>(operation.flag))) text.append(", no ").append(operation.name);
  }
  return text;
}

std::string per_second(const Leg& leg) {
  const double seconds = absl::ToDoubleSeconds(leg.duration);
  return grouped(static_cast<uint64_t>(static_cast<double>(leg.producer.lines) / seconds)) + " lines and " +
         bytes_in_words(static_cast<double>(leg.producer.bytes) / seconds) + " a second";
}

std::string about(const Leg& leg) {
  const ProducerNotes& producer = leg.producer;
  std::string text = row("input", leg.input + ": " + count_of(producer.lines, "line") + ", " + count_of(producer.bytes, "byte"));
  text += row("", "in " + absl::FormatDuration(absl::Trunc(leg.duration, absl::Microseconds(10))) + ": " + per_second(leg));
  std::string waits = producer.waits == 0 ? "" : ", " + count_of(producer.waits, "wait") + " for input on the loop";
  text += row("thread", producer.thread + " (" + std::to_string(producer.thread_id) + ") read it, line by line: " +
                            count_of(producer.reads, "blocking read") + waits + ", one MD5 over all lines");
  text += row("stream", count_of(leg.stream.put, "item") + " through a ring of " + std::to_string(kStreamMax) +
                            "; the producer slept " + count_of(leg.stream.producer_sleeps, "time") + " because it was full, the loop waited " +
                            count_of(leg.stream.reader_wakeups, "time"));
  if (!leg.answer.empty()) text += row("server", "at " + leg.sent_to + ", on the same loop: " + leg.answer);
  return text;
}

}  // namespace

std::string report(const Journey& journey) {
  const weir::LoopStats& loop = journey.loop;
  std::string text = row("kernel", kernel());
  for (const Leg& leg : journey.legs) text += about(leg);
  if (!journey.answer.empty()) text += row("reader", "at " + journey.legs.front().sent_to + ": " + journey.answer);
  text += row("loop", thread_name() + " (" + std::to_string(::gettid()) + "), this thread: sent " + count_of(journey.batches, "batch", "batches") + " of lines");
  text += row("", count_of(loop.turns, "turn") + ", " + count_of(loop.enters, "system call") + " into the ring for " +
                      count_of(loop.submissions, "submission"));
  text += row("wake-ups", grouped(loop.wakeups_written) + " written to wake the loop, " + grouped(loop.wakeups_saved) +
                              " saved because it was awake");
  return text;
}

}  // namespace tour
