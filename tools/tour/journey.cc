#include "weir/tools/tour/journey.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "absl/time/clock.h"
#include "weir/bridge/threaded.h"
#include "weir/tools/tour/checker.h"
#include "weir/tools/tour/destination.h"
#include "weir/tools/tour/output.h"
#include "weir/tools/tour/progress.h"

namespace tour {
namespace {

// Blocks: for a thread. What can be known to go wrong, before the output is emptied and anybody is connected to.
void check_inputs(std::vector<std::string> inputs, std::string output) {
  struct stat out;
  const bool output_exists = !output.empty() && ::stat(output.c_str(), &out) == 0;
  for (const std::string& input : inputs) {
    struct stat in;
    const int failed = input == "-" ? ::fstat(0, &in) : ::stat(input.c_str(), &in);
    int error = failed == 0 ? 0 : errno;
    if (error == 0 && S_ISDIR(in.st_mode)) error = EISDIR;
    if (error != 0) throw std::runtime_error("tour: " + display_name(input) + ": " + std::strerror(error));
    if (output_exists && S_ISREG(in.st_mode) && in.st_dev == out.st_dev && in.st_ino == out.st_ino) {
      throw std::runtime_error("tour: --output=" + output + " is one of the inputs");
    }
  }
}

class Traveller {
 public:
  explicit Traveller(std::optional<Output>& output) : output_(output) {}

  // One input, all of it. The stream is dropped, not awaited, when this fails or is cancelled: its producer may be
  // waiting for input that never comes, which ends when the loop does.
  weir::Task<Leg> send(std::string input, Destination& to) {
    Leg leg;
    leg.input = display_name(input);
    leg.sent_to = to.name();
    const absl::Time begin = absl::Now();
    const auto notes = std::make_shared<ProducerNotes>();
    const auto lines = weir::threaded_iterable(chained_lines, {.max_size = kStreamMax});
    auto stream = lines(input, notes);
    std::string bytes;
    for (;;) {
      const std::vector<Piece> batch = co_await stream.next_batch(kStreamMax);
      if (batch.empty()) break;
      bytes.clear();
      for (const Piece& piece : batch) bytes += piece.bytes;
      co_await to.send(bytes);
      if (output_) co_await output_->write(bytes);
      ++batches_;
      progress_.add(static_cast<uint64_t>(std::ranges::count(batch, true, &Piece::first)), bytes.size());
    }
    if (!notes->finished) throw std::logic_error("tour: the stream ended before its producer");
    leg.duration = absl::Now() - begin;
    leg.stream = stream.stats();
    leg.producer = *notes;
    co_return leg;
  }

  uint64_t batches() const noexcept { return batches_; }

 private:
  std::optional<Output>& output_;
  Progress progress_;
  uint64_t batches_ = 0;
};

}  // namespace

weir::Task<Journey> travel(Options options) {
  const auto check = weir::threaded(check_inputs);
  co_await check(options.inputs, options.output);

  Journey journey;
  std::optional<Destination> listener;
  if (!options.connect.empty()) listener.emplace(co_await Destination::connect(options.connect));
  std::optional<Output> output;
  if (!options.output.empty()) output.emplace(co_await Output::open(options.output));
  Traveller traveller(output);
  for (const std::string& input : options.inputs) {
    if (listener) {
      journey.legs.push_back(co_await traveller.send(input, *listener));
      continue;
    }
    Destination server = co_await Destination::checked();
    Leg leg = co_await traveller.send(input, server);
    leg.answer = co_await server.finish();
    if (!Checker::is_success(leg.answer)) throw std::runtime_error("tour: " + leg.input + ": " + leg.answer);
    journey.legs.push_back(std::move(leg));
  }
  if (listener) journey.answer = co_await listener->finish();
  if (output) co_await output->close();
  journey.batches = traveller.batches();
  journey.loop = weir::Loop::current().stats();
  co_return journey;
}

}  // namespace tour
