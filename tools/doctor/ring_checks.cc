#include "weir/tools/doctor/ring_checks.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weir/runtime/fallback.h"
#include "weir/runtime/ring.h"

namespace doctor {
namespace {

using weir::internal::Ring;
using weir::internal::UsedOpcode;

constexpr int kNoAnswer = -ETIME;
constexpr int64_t kPatience_ns = 2'000'000'000;

std::string errno_text(int error) { return std::generic_category().message(error); }

class Fd {
 public:
  explicit Fd(int number) noexcept : number_(number) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const noexcept { return number_; }

 private:
  const int number_;
};

// A page of its own.
class Page {
 public:
  static constexpr std::size_t kSize = 4096;
  Page() : memory_(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page() {
    if (ok()) ::munmap(memory_, kSize);
  }
  bool ok() const noexcept { return memory_ != MAP_FAILED; }
  void* data() const noexcept { return memory_; }

 private:
  void* const memory_;
};

// The next completion: its res, or kNoAnswer.
int next_completion(Ring& ring, unsigned* flags = nullptr) {
  for (int tries = 0; ring.completions() == 0; ++tries) {
    const int entered = ring.enter(true, kPatience_ns);
    if (entered < 0 && entered != -EINTR && entered != -EAGAIN) return entered;
    if (tries == 3) return kNoAnswer;
  }
  const io_uring_cqe completion = ring.peek(0);
  ring.advance(1);
  if (flags != nullptr) *flags = completion.flags;
  return completion.res;
}

Finding ring_flags(const Ring& ring) {
  struct Flag {
    unsigned bit;
    const char* name;
    const char* since;
  };
  constexpr std::array kFlags = {
      Flag{IORING_SETUP_SUBMIT_ALL, "SUBMIT_ALL", "5.18"},
      Flag{IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER", "6.0"},
      Flag{IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN", "6.1"},
      Flag{IORING_SETUP_TASKRUN_FLAG, "TASKRUN_FLAG", "5.19"},
  };
  std::vector<std::string> there;
  std::vector<std::string> missing;
  for (const Flag& flag : kFlags) {
    if ((ring.setup_flags() & flag.bit) != 0) {
      there.push_back(flag.name);
    } else {
      missing.push_back(absl::StrCat(flag.name, " (", flag.since, ")"));
    }
  }
  const std::string found = absl::StrJoin(there, ", ");
  if (missing.empty()) return {"ring flags", Verdict::kFine, found};
  return {"ring flags", Verdict::kGap, absl::StrCat(found, "; missing: ", absl::StrJoin(missing, ", ")),
          "the same with more interrupts of the loop's thread", "a newer kernel"};
}

Finding requests(const Ring& ring) {
  std::vector<std::string> on_threads;
  std::vector<std::string> without;
  std::size_t count = 0;
  for (const UsedOpcode& used : weir::internal::used_opcodes()) {
    ++count;
    if (ring.supports(used.opcode)) continue;
    (used.blocking != nullptr ? on_threads : without).push_back(absl::StrCat(used.name, " (", used.since, ")"));
  }
  if (on_threads.empty() && without.empty()) return {"requests", Verdict::kFine, absl::StrCat("all ", count, " that weir uses")};
  const std::string does = without.empty() ? "the system call, on a thread of the loop's pool"
                                           : absl::StrCat("kUnimplemented for ", absl::StrJoin(without, ", "), ", the system call on a thread for the rest");
  on_threads.insert(on_threads.end(), without.begin(), without.end());
  return {"requests", Verdict::kGap, absl::StrCat("missing: ", absl::StrJoin(on_threads, ", ")), does, "a newer kernel"};
}

// Two messages through a socket pair, received by one request into blocks that the kernel picks.
Finding multishot(Ring& ring) {
  constexpr unsigned kBlock = 64;
  constexpr uint16_t kGroup = 7;
  const std::string name = "multishot receive";
  const auto gap = [&](const std::string& found) {
    return Finding(name, Verdict::kGap, found, "receive() asks once for each block; an idle connection waits without one all the same",
                   "Linux 6.0 or later (provided buffer rings: 5.19)");
  };
  const Page queue;
  const Page blocks;
  int ends[2];
  if (!queue.ok() || !blocks.ok() || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return gap(errno_text(errno));
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(queue.data());
  registration.ring_entries = 8;
  registration.bgid = kGroup;
  if (const int result = ring.register_resource(IORING_REGISTER_PBUF_RING, &registration, 1); result < 0) {
    return gap(absl::StrCat("no provided buffer ring: ", errno_text(-result)));
  }
  auto* const buffers = static_cast<io_uring_buf_ring*>(queue.data());
  io_uring_buf_ring_init(buffers);
  for (unsigned short i = 0; i < 8; ++i) {
    io_uring_buf_ring_add(buffers, static_cast<char*>(blocks.data()) + i * kBlock, kBlock, i, 7, i);
  }
  io_uring_buf_ring_advance(buffers, 8);
  io_uring_sqe* const entry = ring.next_submission();
  io_uring_prep_recv(entry, reader.get(), nullptr, 0, 0);
  entry->ioprio |= IORING_RECV_MULTISHOT;
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = kGroup;
  ring.enter(false, 0);
  std::string got;
  for (const std::string text : {"one", "two"}) {
    if (::write(writer.get(), text.data(), text.size()) < 0) return gap(errno_text(errno));
    unsigned flags = 0;
    const int result = next_completion(ring, &flags);
    if (result < 0) return gap(result == -EINVAL ? "the kernel refuses it" : errno_text(-result));
    if ((flags & IORING_CQE_F_MORE) == 0 || (flags & IORING_CQE_F_BUFFER) == 0) return gap("the request ended after one message");
    got.append(static_cast<const char*>(blocks.data()) + (flags >> IORING_CQE_BUFFER_SHIFT) * kBlock, static_cast<std::size_t>(result));
  }
  if (got != "onetwo") return gap("it gave other bytes than were sent");
  ::shutdown(writer.get(), SHUT_WR);
  next_completion(ring);  // the end of the stream ends the request
  return {name, Verdict::kFine, "works, with provided buffers"};
}

// A read of /proc/self/exe into a buffer that was registered.
Finding registered_buffer(Ring& ring) {
  const std::string name = "registered buffers";
  const auto gap = [&](const std::string& found) {
    return Finding(name, Verdict::kGap, found, "a BufferPool works unregistered: each request pins its pages anew",
                   "raise the memlock limit (ulimit -l, LimitMEMLOCK=), or give CAP_IPC_LOCK");
  };
  const Page page;
  const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!page.ok() || file.get() < 0) return gap(errno_text(errno));
  iovec vector{page.data(), Page::kSize};
  if (const int result = ring.register_resource(IORING_REGISTER_BUFFERS, &vector, 1); result < 0) return gap(errno_text(-result));
  io_uring_prep_read_fixed(ring.next_submission(), file.get(), page.data(), Page::kSize, 0, 0);
  const int result = next_completion(ring);
  ring.register_resource(IORING_UNREGISTER_BUFFERS, nullptr, 0);
  if (result < 0) return gap(errno_text(-result));
  if (std::memcmp(page.data(), "\177ELF", 4) != 0) return gap("it read other bytes than the file has");
  return {name, Verdict::kFine, "work"};
}

}  // namespace

Findings try_ring() {
  auto ring = Ring::create({.sq_entries = 8});
  if (!ring.ok()) {
    return {Finding("ring", Verdict::kBroken, std::string(ring.status().message()), {}, "see there")};
  }
  if (const int result = (*ring)->enable(); result < 0) {
    return {Finding("ring", Verdict::kBroken, absl::StrCat("cannot be enabled: ", errno_text(-result)), {},
                    "allow io_uring_register in the container's seccomp profile")};
  }
  io_uring_prep_nop((*ring)->next_submission());
  if (const int result = next_completion(**ring); result < 0) {
    return {Finding("ring", Verdict::kBroken, absl::StrCat("cannot be entered: ", errno_text(-result)), {},
                    "allow io_uring_enter in the container's seccomp profile")};
  }
  Findings findings;
  findings.emplace_back("ring", Verdict::kFine, absl::StrCat("works, with ", (*ring)->completion_entries(), " completion entries"));
  findings.push_back(ring_flags(**ring));
  findings.push_back(requests(**ring));
  findings.push_back(registered_buffer(**ring));
  findings.push_back(multishot(**ring));
  return findings;
}

}  // namespace doctor
