#include "weir/tools/bench/raw/raw.h"
#include "weir/tools/bench/raw/ring.h"

namespace weir::bench::raw {
namespace {

class Nops final : public Side {
 public:
  explicit Nops(unsigned in_flight) : in_flight_(in_flight) {}

  Measured run(uint64_t count) override {
    uint64_t calls = 0;
    Measured measured = time_of(count, [&] {
      for (uint64_t done = 0; done < count; ++calls) {
        const auto batch = static_cast<unsigned>(std::min<uint64_t>(in_flight_, count - done));
        for (unsigned i = 0; i < batch; ++i) io_uring_prep_nop(ring_.entry());
        io_uring_submit_and_wait(ring_.get(), batch);
        unsigned head;
        unsigned seen = 0;
        io_uring_cqe* completion;
        io_uring_for_each_cqe(ring_.get(), head, completion) ++seen;
        io_uring_cq_advance(ring_.get(), seen);
        done += seen;
      }
    });
    measured.calls = static_cast<double>(calls) / static_cast<double>(count);
    return measured;
  }

 private:
  const unsigned in_flight_;
  Ring ring_;
};

}  // namespace

MakeSide nops(unsigned in_flight) {
  return [in_flight] { return std::make_unique<Nops>(in_flight); };
}

}  // namespace weir::bench::raw
